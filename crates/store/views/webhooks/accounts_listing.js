function (doc) {
  if (doc.pvt_type === 'webhook' && !doc.pvt_deleted && doc.pvt_account_id) {
    emit(doc.pvt_account_id, null);
  }
}
