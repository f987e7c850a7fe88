function (doc) {
  if (doc.pvt_type === 'callflow' && !doc.pvt_deleted && Array.isArray(doc.numbers)) {
    doc.numbers.forEach(function (number) {
      emit(number, { name: doc.name || doc._id });
    });
  }
}
