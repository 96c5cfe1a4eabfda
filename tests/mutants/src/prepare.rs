//! The rewritten copy: from sources to test programs.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use crate::compile::{Fault, Program, Request, build, to_drop};
use crate::find::{Names, find};
use crate::modules::{Source, sources};
use crate::render::render;
use crate::site::{Mutant, Site};
use crate::{copy, switch};

/// A source file and its sites.
struct File {
    /// From the root of the workspace.
    path: PathBuf,
    text: String,
    sites: Vec<Site>,
    rewritten: String,
}

/// A library with its mutants.
pub(crate) struct Prepared {
    root: PathBuf,
    library: PathBuf,
    files: Vec<File>,
    /// All mutants; after [`build`](Self::build) those that compile.
    pub(crate) mutants: Vec<Mutant>,
    count: usize,
}

impl Prepared {
    /// Finds the mutants of the library in `folder`, in files that are `chosen` by their path below `src/`.
    pub(crate) fn read(root: &Path, folder: &str, chosen: impl Fn(&str) -> bool) -> io::Result<Self> {
        let library = PathBuf::from(folder).join("src/lib.rs");
        let sources = sources(&root.join(&library))?;
        let names = Names::of(&sources);
        let below = root.join(folder).join("src");
        let (mut files, mut mutants) = (Vec::new(), Vec::new());
        for source in sources {
            let name = source.path.strip_prefix(&below).map_err(io::Error::other)?.to_string_lossy().into_owned();
            if chosen(&name) || name == "lib.rs" {
                let path = Path::new(folder).join("src").join(&name);
                let next = u32::try_from(mutants.len()).map_err(io::Error::other)?;
                let found =
                    if chosen(&name) { Some(find(&source, &path.to_string_lossy(), next, &names)) } else { None };
                let Source { text, .. } = source;
                let sites = found.map_or_else(Vec::new, |found| {
                    mutants.extend(found.mutants);
                    found.sites
                });
                files.push(File { path, text, sites, rewritten: String::new() });
            }
        }
        let count = mutants.len();
        Ok(Self { root: root.to_owned(), library, files, mutants, count })
    }

    /// Writes the copy to a folder in `own` and builds its tests, without the mutants that do not compile.
    pub(crate) fn build(
        &mut self,
        packages: &[&str],
        tests: &[&str],
        own: &Path,
        target: &Path,
    ) -> io::Result<Vec<Program>> {
        let copy = own.join("workspace");
        let request = Request { packages, tests, root: &copy, target };
        // What did not compile the last time is not tried again: the files stay the same, and nothing is built twice.
        let note = own.join("dropped.txt");
        let last = std::fs::read_to_string(&note).unwrap_or_default();
        let last: BTreeSet<&str> = last.lines().collect();
        let known = self.mutants.iter().filter(|mutant| last.contains(mutant.line().as_str()));
        let mut dropped: BTreeSet<u32> = known.map(|mutant| mutant.id).collect();
        loop {
            self.write(&copy, &dropped)?;
            let faults = match build(&request)? {
                Ok(programs) => {
                    eprintln!("{} mutants, {} more do not compile", self.count - dropped.len(), dropped.len());
                    let is_dropped = |mutant: &&Mutant| dropped.contains(&mutant.id);
                    let lines: Vec<String> = self.mutants.iter().filter(is_dropped).map(Mutant::line).collect();
                    self.mutants.retain(|mutant| !dropped.contains(&mutant.id));
                    std::fs::write(&note, lines.join("\n"))?;
                    return Ok(programs);
                }
                Err(faults) => faults,
            };
            let more = self.to_drop(&faults);
            eprintln!("{} errors, {} mutants dropped", faults.len(), more.len());
            if more.is_subset(&dropped) {
                let messages: Vec<String> = faults.iter().map(|f| format!("{:?}: {}", f.places, f.message)).collect();
                return Err(io::Error::other(messages.join("\n")));
            }
            dropped.extend(more);
        }
    }

    fn write(&mut self, copy: &Path, dropped: &BTreeSet<u32>) -> io::Result<()> {
        // The folder of the run has the package's name.
        let name = copy.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let mut replaced = Vec::new();
        for file in &mut self.files {
            file.rewritten = render(&file.text, &file.sites, dropped);
            if file.path == self.library {
                file.rewritten = copy::with_switch(&file.rewritten);
            }
            replaced.push((file.path.clone(), file.rewritten.clone()));
        }
        replaced.push((self.library.with_file_name("__mutants.rs"), switch::module(self.count, self.stamp())));
        copy::copy(&self.root, copy, &name, &replaced)
    }

    /// Tells apart what was built from these files and from others.
    pub(crate) fn stamp(&self) -> u32 {
        let mut hasher = DefaultHasher::new();
        self.files.iter().for_each(|file| (&file.path, &file.rewritten).hash(&mut hasher));
        u32::try_from(hasher.finish() >> 32).unwrap_or_default()
    }

    fn to_drop(&self, faults: &[Fault]) -> BTreeSet<u32> {
        let file = |path: &Path| self.files.iter().find(|file| file.path == path);
        let ids = |file: &File| file.sites.iter().flat_map(|site| &site.choices).map(|(id, _)| *id).collect();
        to_drop(faults, |path| file(path).map(|f| f.rewritten.clone()), |path| file(path).map_or_else(Vec::new, ids))
    }
}
