function (doc) {
  if (doc.pvt_type === 'callflow' && !doc.pvt_deleted && Array.isArray(doc.patterns)) {
    doc.patterns.forEach(function (pattern) {
      emit(pattern, { name: doc.name || doc._id });
    });
  }
}
