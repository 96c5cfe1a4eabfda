//! The rows, as a table for people and as JSON for programs.

use serde_json::{Map, Value, json};

use crate::harness::Measured;

/// One kind of work, measured.
pub(crate) struct Row {
    work: String,
    unit: &'static str,
    ours: f64,
    /// Name, value, and ours against it.
    peers: Vec<(&'static str, f64, f64)>,
    /// The best known way, in the unit.
    limit: f64,
    /// Ours as a share of the limit.
    share: f64,
}

impl Row {
    /// A row of `measured`, whose first party is ours and whose others are `peers`; `limit` is in multiples of the first.
    pub(crate) fn new(work: impl Into<String>, peers: &[&'static str], limit: f64, measured: &Measured) -> Self {
        let values = measured.rates[1..].iter().zip(&measured.ratios[1..]);
        let peers: Vec<_> = peers.iter().zip(values).map(|(&name, (&value, &ratio))| (name, value, ratio)).collect();
        let (value, ratio) = peers.first().map_or((f64::NAN, f64::NAN), |peer| (peer.1, peer.2));
        Self {
            work: work.into(),
            unit: "MB/s",
            ours: measured.rates[0],
            peers,
            limit: value * limit,
            share: ratio / limit,
        }
    }

    /// A row of a number that has no peer, with the number that it may or should be.
    pub(crate) fn alone(work: impl Into<String>, unit: &'static str, ours: f64, limit: f64) -> Self {
        Self { work: work.into(), unit, ours, peers: Vec::new(), limit, share: ours / limit }
    }

    fn json(&self) -> Value {
        let values: Map<_, _> = self.peers.iter().map(|(name, value, _)| ((*name).into(), json!(value))).collect();
        let ratios: Map<_, _> = self.peers.iter().map(|(name, _, ratio)| ((*name).into(), json!(ratio))).collect();
        json!({
            "work": self.work, "unit": self.unit, "ours": self.ours, "peers": values, "ratios": ratios,
            "limit": self.limit, "share": self.share,
        })
    }
}

/// `{"rows": [...]}`.
pub(crate) fn json(rows: &[Row]) -> String {
    json!({ "rows": rows.iter().map(Row::json).collect::<Vec<_>>() }).to_string()
}

/// The table; every peer's value is followed by ours against it.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut lines =
        vec![format!("{:<44} {:>8} {:>8} {:>6}  peers (ours against each)", "work", "ours", "limit", "share")];
    for row in rows {
        let peers: Vec<_> =
            row.peers.iter().map(|(name, value, ratio)| format!("{name} {value:.0} ({ratio:.2}x)")).collect();
        let digits = usize::from(row.ours < 100.0) * 2;
        lines.push(format!(
            "{:<44} {:>8.digits$} {:>8.digits$} {:>6.2}  {}  [{}]",
            row.work,
            row.ours,
            row.limit,
            row.share,
            peers.join(", "),
            row.unit
        ));
    }
    lines.join("\n")
}
