//! How long requests to the store take, for its metrics. Changes nothing about them.

use std::time::Instant;

use callreel_telemetry::{KeyValue, metrics};

use crate::Error;

/// Counts a request, however it ends. One that is dropped on its way is not counted.
pub(crate) async fn timed<T>(
    operation: &'static str,
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let began = Instant::now();
    let answer = asked.await;
    let outcome = match &answer {
        // Somebody else was faster: the store has answered.
        Ok(_) | Err(Error::Conflict { .. }) => "ok",
        Err(_) => "failed",
    };
    let attributes = [
        KeyValue::new("callreel.operation", operation),
        KeyValue::new("callreel.outcome", outcome),
    ];
    metrics()
        .store_duration
        .record(began.elapsed().as_secs_f64(), &attributes);
    answer
}
