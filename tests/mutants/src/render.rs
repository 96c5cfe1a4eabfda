//! Writes a file that holds all its mutants. A changed text has the parts inside it as they were: only one mutant is on at a
//! time. Comments around each place and each change tell the compiler's messages apart.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use crate::site::{Shape, Site};

/// The rewritten text, without the mutants of `dropped`.
pub(crate) fn render(text: &str, sites: &[Site], dropped: &BTreeSet<u32>) -> String {
    let mut order: Vec<&Site> =
        sites.iter().filter(|site| site.choices.iter().any(|(id, _)| !dropped.contains(id))).collect();
    order.sort_by_key(|site| (site.range.start, Reverse(site.range.end), site.shape == Shape::Expression));
    let mut out = String::new();
    write_range(&mut out, text, 0..text.len(), &mut order.as_slice(), dropped);
    out
}

fn write_range(out: &mut String, text: &str, range: Range<usize>, sites: &mut &[&Site], dropped: &BTreeSet<u32>) {
    let mut at = range.start;
    while let Some((site, rest)) = sites.split_first()
        && site.range.start < range.end
        && site.range.end <= range.end
    {
        *sites = rest;
        out.push_str(&text[at..site.range.start]);
        let mut inner = String::new();
        write_range(&mut inner, text, site.range.clone(), sites, dropped);
        write_site(out, site, &inner, dropped);
        at = site.range.end;
    }
    out.push_str(&text[at..range.end]);
}

fn write_site(out: &mut String, site: &Site, inner: &str, dropped: &BTreeSet<u32>) {
    let kept: Vec<&(u32, String)> = site.choices.iter().filter(|(id, _)| !dropped.contains(id)).collect();
    let ids: Vec<String> = kept.iter().map(|(id, _)| id.to_string()).collect();
    let ids = ids.join(",");
    let (open, close) = if site.shape == Shape::Expression { ("(", ")") } else { ("", "") };
    let _ = write!(out, "/*<{ids}*/{open}");
    for (n, (id, changed)) in kept.iter().enumerate() {
        let otherwise = if n > 0 { " else " } else { "" };
        let _ = write!(out, "{otherwise}if crate::__mutants::on({id}) {{ /*<{id}*/{changed}/*>*/ }}");
    }
    if site.shape != Shape::Entry {
        let _ = write!(out, " else {{ {inner} }}");
    }
    let _ = write!(out, "{close}/*>*/");
}

/// Which mutants a message of the compiler about these bytes of a rewritten file is about: the innermost ones around its
/// beginning, else those inside it.
pub(crate) fn blamed(rewritten: &str, bytes: &Range<usize>) -> Vec<u32> {
    let mut open: Vec<(usize, &str)> = Vec::new();
    let mut around: Option<(Range<usize>, &str)> = None;
    let mut inside = Vec::new();
    let mut at = 0;
    while let Some(found) = rewritten[at..].find("/*") {
        let start = at + found;
        let Some(length) = rewritten[start..].find("*/") else { break };
        let (mark, end) = (&rewritten[start + 2..start + length], start + length + 2);
        at = end;
        if let Some(ids) = mark.strip_prefix('<') {
            open.push((start, ids));
        } else if mark == ">"
            && let Some((from, ids)) = open.pop()
        {
            let range = from..end;
            let closer = around.as_ref().is_none_or(|(other, _)| range.len() < other.len());
            if range.contains(&bytes.start) && closer {
                around = Some((range, ids));
            } else if bytes.contains(&from) {
                inside.push(ids);
            }
        }
    }
    let ids = around.map(|(_, ids)| vec![ids]).unwrap_or(inside);
    let ids: BTreeSet<u32> = ids.iter().flat_map(|ids| ids.split(',')).filter_map(|id| id.parse().ok()).collect();
    ids.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(range: Range<usize>, shape: Shape, choices: &[(u32, &str)]) -> Site {
        Site { range, shape, choices: choices.iter().map(|(id, text)| (*id, (*text).to_owned())).collect() }
    }

    #[test]
    fn a_change_keeps_the_original_inside() {
        let sites =
            [site(0..11, Shape::Expression, &[(1, "a + b - c")]), site(0..5, Shape::Expression, &[(2, "a - b")])];
        let text = render("a + b + cde", &sites, &BTreeSet::new());
        let plain = |text: &str| text.replace("/*<1*/", "").replace("/*<2*/", "").replace("/*>*/", "");
        let inner = "(if crate::__mutants::on(2) { a - b } else { a + b })";
        assert_eq!(plain(&text), format!("(if crate::__mutants::on(1) {{ a + b - c }} else {{ {inner} + cde }})"));
        assert_eq!(render("a + b + cde", &sites, &BTreeSet::from([1, 2])), "a + b + cde");
    }

    #[test]
    fn messages_find_their_mutants() {
        let sites = [site(4..9, Shape::Statement, &[(7, ""), (8, "let _ = f();")])];
        let text = render("{\n  f()?; }", &sites, &BTreeSet::new());
        let at = |part: &str| text.find(part).map(|at| at..at + 1).unwrap();
        assert_eq!(blamed(&text, &at("let _")), [8]);
        assert_eq!(blamed(&text, &at("f()?")), [7, 8]);
        assert_eq!(blamed(&text, &(0..text.len())), [7, 8]);
    }
}
