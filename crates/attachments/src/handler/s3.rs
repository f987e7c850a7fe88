//! Settings of Kazoo's handler `s3`, for Amazon and everything that speaks its language.

use callreel_proto::Secret;
use object_store::{ObjectStore, aws::AmazonS3Builder};

use super::Settings;
use crate::{
    connector::{Connector, retries},
    plan::Malformed,
};

/// Amazon's own host, as Kazoo has it by default: there each region has one of its own.
const AMAZON: &str = "s3.amazonaws.com";

/// A bucket and who may write it.
#[derive(Debug, Clone)]
pub(crate) struct S3 {
    bucket: String,
    key: Secret,
    secret: Secret,
    region: String,
    scheme: &'static str,
    host: String,
    port: Option<u16>,
    /// The bucket is part of the host's name, not of the path.
    in_host: bool,
}

impl S3 {
    pub(crate) fn read(settings: &Settings<'_>) -> Result<Self, Malformed> {
        let region = settings.text("region")?.unwrap_or("us-east-1");
        let host = settings.text("host")?.filter(|host| *host != AMAZON);
        let bucket = settings.needed("bucket")?;
        let own = bucket
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        if !own {
            return Err(settings.wrong("bucket", "has a character no bucket has"));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        if !host.unwrap_or(AMAZON).chars().all(is_name) {
            return Err(settings.wrong(
                "host",
                "must be a name or an address; scheme and port are settings of their own",
            ));
        }
        Ok(Self {
            in_host: in_host(settings, host, bucket)?,
            bucket: bucket.to_owned(),
            key: settings.secret("key")?,
            secret: settings.secret("secret")?,
            scheme: scheme(settings)?,
            host: host.map_or_else(|| format!("s3.{region}.amazonaws.com"), str::to_owned),
            port: settings.port("port")?,
            region: region.to_owned(),
        })
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    pub(crate) fn host(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    fn endpoint(&self, bucket: &str) -> String {
        let host = self.host();
        match self.in_host {
            true => format!("{}://{bucket}.{host}", self.scheme),
            false => format!("{}://{host}", self.scheme),
        }
    }

    /// The bucket named in a document, which need not be the one of today's settings.
    pub(crate) fn open(
        &self,
        bucket: &str,
        connector: Connector,
    ) -> Result<Box<dyn ObjectStore>, object_store::Error> {
        let store = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_access_key_id(self.key.reveal())
            .with_secret_access_key(self.secret.reveal())
            .with_region(&self.region)
            .with_endpoint(self.endpoint(bucket))
            .with_virtual_hosted_style_request(self.in_host)
            .with_retry(retries())
            .with_http_connector(connector)
            .build()?;
        Ok(Box::new(store))
    }
}

/// Kazoo writes `https://`, people write `https`.
fn scheme(settings: &Settings<'_>) -> Result<&'static str, Malformed> {
    match settings
        .text("scheme")?
        .map(|text| text.trim_end_matches("://"))
    {
        None | Some("https") => Ok("https"),
        Some("http") => Ok("http"),
        Some(_) => Err(settings.wrong("scheme", "must be http or https")),
    }
}

/// Amazon wants the bucket in the host's name, others seldom have names for buckets. A dot in a bucket's name does not fit
/// Amazon's certificates.
fn in_host(settings: &Settings<'_>, host: Option<&str>, bucket: &str) -> Result<bool, Malformed> {
    let after_host = settings.flag("bucket_after_host")?;
    match settings.text("bucket_access_method")? {
        Some("vhost") => Ok(!after_host),
        Some("path") => Ok(false),
        None | Some("auto") => {
            let amazon = host.is_none_or(|host| host.ends_with(".amazonaws.com"));
            Ok(amazon && !after_host && !bucket.contains('.'))
        }
        Some(_) => Err(settings.wrong("bucket_access_method", "must be auto, vhost or path")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn endpoint(mut settings: Value) -> String {
        for key in ["key", "secret"] {
            settings[key] = key.into();
        }
        let handler = json!({"handler": "s3", "settings": settings});
        let s3 = S3::read(&Settings::new("doc", "u", &handler)).unwrap();
        s3.endpoint(&s3.bucket)
    }

    #[test]
    fn buckets_are_reached_as_their_hosts_want_it() {
        let amazon = "https://rec.s3.us-east-1.amazonaws.com";
        for (settings, expected) in [
            (json!({"bucket": "rec"}), amazon),
            (
                json!({"bucket": "rec", "host": "s3.amazonaws.com", "scheme": "https://"}),
                amazon,
            ),
            (
                json!({"bucket": "rec", "region": "eu-west-1"}),
                "https://rec.s3.eu-west-1.amazonaws.com",
            ),
            (
                json!({"bucket": "rec.eu"}),
                "https://s3.us-east-1.amazonaws.com",
            ),
            (
                json!({"bucket": "rec", "bucket_access_method": "path"}),
                "https://s3.us-east-1.amazonaws.com",
            ),
            (
                json!({"bucket": "rec", "bucket_after_host": true}),
                "https://s3.us-east-1.amazonaws.com",
            ),
            (
                json!({"bucket": "rec", "host": "minio.example", "port": "9000", "scheme": "http"}),
                "http://minio.example:9000",
            ),
            (
                json!({"bucket": "rec", "host": "minio.example", "bucket_access_method": "vhost"}),
                "https://rec.minio.example",
            ),
        ] {
            assert_eq!(endpoint(settings.clone()), expected, "{settings}");
        }
    }
}
