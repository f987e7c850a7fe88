function (doc) {
  if (doc.owner_id && doc.pvt_type && !doc.pvt_deleted) {
    emit([doc.owner_id, doc.pvt_type], doc._id);
  }
}
