//! What came out: a column for each contender.

use super::contender::Contender;
use super::memory::Memory;
use super::row::{Heat, Row, Samples};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One contender's figures.
pub struct Column {
    pub name: String,
    pub path: String,
    pub version: String,
    /// Bytes of its program on disk.
    pub binary: u64,
    pub plain_casemate: bool,
    pub floor: bool,
    pub samples: Samples,
    pub memory: Memory,
    pub calls: BTreeMap<Row, u64>,
}

/// What ratios are made of: CPU time is the most stable figure of a busy machine, and low percentiles of wall time are
/// those that the machine had time for.
#[derive(Clone, Copy, Debug)]
pub enum Measure {
    /// Median of user and system time.
    Cpu(Heat),
    /// 10th percentile of wall time.
    Wall(Heat),
}

impl Measure {
    /// In the order of the tables.
    pub const ALL: [Self; 4] =
        [Self::Cpu(Heat::Cold), Self::Wall(Heat::Cold), Self::Cpu(Heat::Hot), Self::Wall(Heat::Hot)];

    /// As a heading.
    pub fn words(self) -> String {
        match self {
            Self::Cpu(heat) => format!("CPU time, {}, median", heat.word()),
            Self::Wall(heat) => format!("wall time, {}, 10th percentile", heat.word()),
        }
    }

    /// In milliseconds.
    pub fn of(self, samples: &Samples, row: Row) -> Option<f64> {
        match self {
            Self::Cpu(heat) => samples.cpu(row, heat, 50),
            Self::Wall(heat) => samples.wall(row, heat, 10),
        }
    }
}

/// All columns.
pub struct Figures {
    pub columns: Vec<Column>,
    pub rounds: u32,
    /// How many containers the longer list has.
    pub containers: usize,
    /// Kernel and processors.
    pub machine: String,
}

impl Column {
    /// Without figures.
    pub fn new(contender: &Contender) -> Result<Self> {
        Ok(Self {
            name: contender.name.clone(),
            path: contender.path.display().to_string(),
            version: contender.version.clone(),
            binary: std::fs::metadata(&contender.path).context("the size of the program")?.len(),
            plain_casemate: contender.is_plain_casemate(),
            floor: contender.floor.is_some(),
            samples: Samples::default(),
            memory: Memory::default(),
            calls: BTreeMap::new(),
        })
    }
}

impl Figures {
    /// What all are compared with: casemate as it does what others do, or the first there is; and the floor.
    pub fn bases(&self) -> Vec<&Column> {
        let casemate = self.columns.iter().find(|column| column.plain_casemate).or_else(|| self.columns.first());
        casemate.into_iter().chain(self.columns.iter().find(|column| column.floor)).collect()
    }

    /// A measure as a multiple of another column's.
    pub fn ratio(&self, measure: Measure, row: Row, column: &Column, base: &Column) -> Option<f64> {
        let base = measure.of(&base.samples, row).filter(|value| *value > 0.0)?;
        Some(measure.of(&column.samples, row)? / base)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let columns = self.columns.iter().map(|column| self.column(column)).collect::<Vec<_>>();
        json!({"machine": self.machine, "rounds": self.rounds, "containers": self.containers, "runtimes": columns})
    }

    fn column(&self, column: &Column) -> Value {
        let mut rows = Map::new();
        for row in Row::ALL {
            let samples = &column.samples;
            let mut cell = Map::new();
            for heat in Heat::BOTH {
                let Some(least) = samples.wall(row, heat, 0) else { continue };
                let figures = json!({
                    "wall_ms": {"least": least, "p10": samples.wall(row, heat, 10), "median": samples.wall(row, heat, 50)},
                    "cpu_ms": {"least": samples.cpu(row, heat, 0), "median": samples.cpu(row, heat, 50)},
                    "page_faults": samples.faults(row, heat),
                });
                cell.insert(heat.word().to_owned(), figures);
            }
            if cell.is_empty() {
                continue;
            }
            cell.insert("peak_resident_kib".to_owned(), json!(column.memory.weighed.peak(row)));
            cell.insert("system_calls".to_owned(), json!(column.calls.get(&row)));
            for base in self.bases() {
                let ratios: Map<String, Value> = Measure::ALL
                    .iter()
                    .map(|measure| (measure.words(), json!(self.ratio(*measure, row, column, base))))
                    .collect();
                cell.insert(format!("ratio to {}", base.name), Value::Object(ratios));
            }
            rows.insert(row.title(self.containers), Value::Object(cell));
        }
        let waiting = column.memory.waiting;
        json!({
            "name": column.name, "path": column.path, "version": column.version, "binary_bytes": column.binary,
            "waiting_init_resident_kib": waiting.map(|waiting| waiting.resident_kib),
            "waiting_init_threads": waiting.map(|waiting| waiting.threads),
            "smallest_memory_limit_kib": column.memory.limit_kib,
            "rows": rows,
        })
    }
}
