function (doc) {
  if (doc.pvt_type === 'device' && !doc.pvt_deleted && doc.sip && doc.sip.username) {
    emit(String(doc.sip.username).toLowerCase(), null);
  }
}
