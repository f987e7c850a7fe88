function (doc) {
  if (doc.pvt_type === 'mailbox_message' && !doc.pvt_deleted && doc.source_id) {
    var about = doc.metadata || {};
    emit([doc.source_id, about.folder || 'new'], 1);
  }
}
