function (doc) {
  if (doc.pvt_type === 'account' && !doc.pvt_deleted && doc.realm) {
    emit(String(doc.realm).toLowerCase(), { account_id: doc.pvt_account_id, account_db: doc.pvt_account_db });
  }
}
