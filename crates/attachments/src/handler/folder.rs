//! Settings of the handler `folder`: files below a folder of this machine, such as a mounted share.

use std::path::{Component, Path, PathBuf};

use object_store::{ObjectStore, local::LocalFileSystem};

use super::Settings;
use crate::plan::Malformed;

/// A folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: String,
}

/// Why a folder is not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error(
        "{0} is in no folder of delivery.folder_roots, where storage plans may put files; add it there if that is meant"
    )]
    Outside(String),
    #[error("{0}: {1}")]
    Unusable(String, std::io::Error),
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

impl Folder {
    pub(crate) fn read(settings: &Settings<'_>) -> Result<Self, Malformed> {
        let path = settings.needed("path")?;
        if !is_plain(Path::new(path)) {
            let message = "must be an absolute path without \"..\"";
            return Err(settings.wrong("path", message));
        }
        Ok(Self {
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

/// Opens the folder, which is made if need be, if one of `roots` holds it: by its true path, so that no link leads elsewhere.
pub(crate) fn open(path: &str, roots: &[PathBuf]) -> Result<Box<dyn ObjectStore>, Closed> {
    let outside = || Closed::Outside(path.to_owned());
    let wanted = Path::new(path);
    let root = roots.iter().find(|root| wanted.starts_with(root));
    let root = root.filter(|_| is_plain(wanted)).ok_or_else(outside)?;
    // A root that is missing is a share that is not mounted: nothing is written where it should be.
    let unusable = |e| Closed::Unusable(path.to_owned(), e);
    let true_root = root.canonicalize().map_err(unusable)?;
    std::fs::create_dir_all(wanted).map_err(unusable)?;
    let true_path = wanted.canonicalize().map_err(unusable)?;
    if !true_path.starts_with(true_root) {
        return Err(outside());
    }
    let store = LocalFileSystem::new_with_prefix(true_path)?.with_fsync(true);
    Ok(Box::new(store))
}

/// Absolute, and without a step back.
fn is_plain(path: &Path) -> bool {
    let plain = |step| matches!(step, Component::RootDir | Component::Normal(_));
    let named = path.as_os_str().as_encoded_bytes();
    path.is_absolute() && path.components().all(plain) && !named.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &Path, roots: &[&Path]) -> Option<String> {
        let roots: Vec<PathBuf> = roots.iter().map(|root| root.to_path_buf()).collect();
        open(&path.to_string_lossy(), &roots)
            .err()
            .map(|e| e.to_string())
    }

    #[test]
    fn only_folders_below_a_root_are_opened_and_links_lead_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let (root, other) = (dir.path().join("root"), dir.path().join("root2"));
        for folder in [&root, &other] {
            std::fs::create_dir(folder).unwrap();
        }
        std::os::unix::fs::symlink(&other, root.join("link")).unwrap();
        assert_eq!(told(&root.join("acme/eu"), &[&root]), None);
        for outside in [
            &other,
            &root.join("link"),
            &root.join("../root2"),
            Path::new("/"),
        ] {
            let said = told(outside, &[&root]).unwrap();
            assert!(said.contains("delivery.folder_roots"), "{said}");
        }
        assert!(!other.join("x").exists());
        assert!(told(&root, &[]).unwrap().contains("delivery.folder_roots"));
        let unmounted = dir.path().join("share");
        let said = told(&unmounted.join("acme"), &[&unmounted]).unwrap();
        assert!(said.contains("No such file"), "{said}");
        assert!(
            !unmounted.exists(),
            "nothing is made where a share is to be mounted"
        );
    }
}
