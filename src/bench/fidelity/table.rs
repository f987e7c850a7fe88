//! The rows as a table for people.

use super::row::Row;

/// Columns of the longest case's name.
const CASE: usize = 42;

/// What the columns are.
pub(crate) fn head() -> String {
    format!(
        "{:CASE$} leg  align ms       found  length  SNR dB       WAV    lost  late  concealed\n\
         {:CASE$}      worst   usual    %      ms    MP3   WAV    exact                 ms\n",
        "case", ""
    )
}

/// One line.
pub(crate) fn line(row: &Row) -> String {
    let exact = match row.bit_exact {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    };
    let missed = row.missed();
    let mark = if missed.is_empty() {
        String::new()
    } else {
        format!("  MISSED: {}", missed.join(", "))
    };
    format!(
        "{:CASE$} {:?}   {:6.2}  {:6.2}  {:5.1}  {:6.2}  {:5.1} {:5.1}  {exact:>5}  {:6} {:5}  {:9}{mark}\n",
        row.case,
        row.leg,
        row.align_ms_worst,
        row.align_ms_typical,
        row.found * 100.0,
        row.length_error_ms,
        row.quality,
        row.quality_wav,
        row.report.lost,
        row.report.late,
        row.report.concealed_ms,
    )
}
