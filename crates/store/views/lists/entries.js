function (doc) {
  if (doc.pvt_type === 'list_entry' && !doc.pvt_deleted && doc.list_id) {
    emit(doc.list_id, null);
  }
}
