function (doc) {
  if (doc.pvt_type && !doc.pvt_deleted) {
    emit(doc.pvt_type, { name: doc.name });
  }
}
