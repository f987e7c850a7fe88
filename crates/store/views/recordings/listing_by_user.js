function (doc) {
  if (doc.pvt_type === 'call_recording' && !doc.pvt_deleted && doc.owner_id) {
    emit([doc.owner_id, doc.pvt_created, doc._id], null);
  }
}
