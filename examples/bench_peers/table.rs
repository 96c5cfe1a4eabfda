//! The rows, as a table for people and as JSON for programs.

use serde_json::{Map, Value, json};

use crate::harness::Measured;

/// One kind of work, measured.
pub(crate) struct Row {
    work: &'static str,
    unit: &'static str,
    ours: f64,
    /// Name, value, and ours against it.
    peers: Vec<(&'static str, f64, f64)>,
    /// The best known way, as a multiple of the first peer.
    limit: f64,
}

impl Row {
    /// A row of `measured`, whose first party is ours and whose others are `peers`; `limit` is in multiples of the first.
    pub(crate) fn new(work: &'static str, peers: &[&'static str], limit: f64, measured: &Measured) -> Self {
        let values = measured.rates[1..].iter().zip(&measured.ratios[1..]);
        let peers = peers.iter().zip(values).map(|(&name, (&value, &ratio))| (name, value, ratio)).collect();
        Self { work, unit: "MB/s", ours: measured.rates[0], peers, limit }
    }

    /// Ours against the first peer, whose multiple the limit is.
    fn ratio(&self) -> f64 {
        self.peers.first().map_or(f64::NAN, |peer| peer.2)
    }

    /// The limit in the row's unit.
    fn limit_value(&self) -> f64 {
        self.peers.first().map_or(f64::NAN, |peer| peer.1 * self.limit)
    }

    fn json(&self) -> Value {
        let values: Map<_, _> = self.peers.iter().map(|(name, value, _)| ((*name).into(), json!(value))).collect();
        let ratios: Map<_, _> = self.peers.iter().map(|(name, _, ratio)| ((*name).into(), json!(ratio))).collect();
        json!({
            "work": self.work, "unit": self.unit, "ours": self.ours, "peers": values, "ratios": ratios,
            "limit": self.limit_value(), "share": self.ratio() / self.limit,
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
        vec![format!("{:<30} {:>8} {:>8} {:>6}  peers (ours against each)", "work", "ours", "limit", "share")];
    for row in rows {
        let peers: Vec<_> =
            row.peers.iter().map(|(name, value, ratio)| format!("{name} {value:.0} ({ratio:.2}x)")).collect();
        let share = row.ratio() / row.limit;
        lines.push(format!(
            "{:<30} {:>8.0} {:>8.0} {:>6.2}  {}  [{}]",
            row.work,
            row.ours,
            row.limit_value(),
            share,
            peers.join(", "),
            row.unit
        ));
    }
    lines.join("\n")
}
