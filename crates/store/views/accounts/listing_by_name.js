function (doc) {
  if (doc.pvt_type === 'account' && !doc.pvt_deleted && doc.name) {
    var name = String(doc.name).toLowerCase().replace(/[^a-z0-9]/g, '');
    emit(name, { account_id: doc.pvt_account_id, account_db: doc.pvt_account_db });
  }
}
