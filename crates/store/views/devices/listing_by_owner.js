function (doc) {
  if (doc.pvt_type === 'device' && !doc.pvt_deleted && doc.owner_id) {
    emit(doc.owner_id, { id: doc._id, name: doc.name, owner_id: doc.owner_id });
  }
}
