function (doc) {
  if (doc.pvt_type === 'call_recording' && !doc.pvt_deleted) {
    emit([doc.pvt_created, doc._id], null);
  }
}
