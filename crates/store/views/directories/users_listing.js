function (doc) {
  if (!doc.pvt_deleted && doc.directories && typeof doc.directories === 'object') {
    Object.keys(doc.directories).forEach(function (directory) {
      emit(directory, doc.directories[directory]);
    });
  }
}
