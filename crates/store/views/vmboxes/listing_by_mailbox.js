function (doc) {
  var number = doc.pvt_type === 'vmbox' && !doc.pvt_deleted ? parseInt(doc.mailbox, 10) : NaN;
  if (!isNaN(number)) {
    emit(number, { id: doc._id, name: doc.name, owner_id: doc.owner_id });
  }
}
