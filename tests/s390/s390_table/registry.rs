//! The tests by name, and their comparison with the table.

use std::collections::BTreeSet;

use libtest_mimic::Trial;

use crate::table::Row;

/// All tests, in the order of the table's families.
#[derive(Default)]
pub(crate) struct Tests(Vec<(String, Box<dyn FnOnce() + Send>)>);

impl Tests {
    /// The test of a row.
    pub(crate) fn row(&mut self, name: &str, test: impl FnOnce() + Send + 'static) {
        self.0.push((name.to_owned(), Box::new(test)));
    }

    /// One test for each item of the row's list.
    pub(crate) fn each<T: Send + 'static>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = (String, T)>,
        test: impl Fn(T) + Copy + Send + 'static,
    ) {
        for (item, value) in items {
            self.row(&format!("{name}::{item}"), move || test(value));
        }
    }

    /// How many tests have a name like this.
    pub(crate) fn count(&self, wanted: impl Fn(&str) -> bool) -> usize {
        self.0.iter().filter(|(name, _)| wanted(name)).count()
    }

    /// What is wrong between tests and table; empty when nothing is.
    pub(crate) fn compare(&self, table: &[Row]) -> Vec<String> {
        let mut faults = Vec::new();
        for row in table {
            let found = self.count(|name| row.owns(name));
            if found != row.items {
                faults.push(format!("{} has {found} tests of {}", row.name, row.items));
            }
        }
        let mut seen = BTreeSet::new();
        for (name, _) in &self.0 {
            if !table.iter().any(|row| row.owns(name)) {
                faults.push(format!("{name} is in no table"));
            }
            if !seen.insert(name) {
                faults.push(format!("{name} is there twice"));
            }
        }
        faults
    }

    pub(crate) fn into_trials(self) -> Vec<Trial> {
        let trial = |(name, test): (String, Box<dyn FnOnce() + Send>)| {
            Trial::test(name, move || {
                test();
                Ok(())
            })
        };
        self.0.into_iter().map(trial).collect()
    }
}
