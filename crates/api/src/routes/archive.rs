//! `/containers/{id}/archive`: files out of and into a container.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hull_engine::{CopyInto, Engine};
use hull_types::Fault;
use hull_wire::PathStat;

use super::{Answer, Call, missing};
use crate::http::{Method, Reply};

/// Answers for one container.
pub(super) async fn route(engine: &Engine, who: &str, call: Call) -> Answer {
    let query = &call.target.query;
    let path = query.get("path").unwrap_or_default().to_owned();
    match call.head.method {
        Method::Head => {
            let headers = header(&engine.archive_stat(who, &path)?)?.into();
            Ok(Reply::Whole { status: 200, content_type: "", headers, body: Default::default() })
        }
        Method::Get => {
            let (stat, pieces) = engine.archive_read(who, &path)?;
            Ok(Reply::Archive { headers: header(&stat)?, pieces })
        }
        Method::Put => {
            let asked = CopyInto {
                path,
                keep_kinds: query.flag("noOverwriteDirNonDir"),
                owned_by_user: query.flag("copyUIDGID"),
            };
            engine.archive_write(who, asked, call.body.into_reader()).await?;
            Ok(Reply::empty(200))
        }
        method => missing::refuse(method, &["containers", who, "archive"]),
    }
}

fn header(stat: &PathStat) -> Result<String, Fault> {
    let text = serde_json::to_vec(stat).map_err(|error| Fault::internal("cannot encode the answer").cause(error))?;
    Ok(format!("X-Docker-Container-Path-Stat: {}\r\n", STANDARD.encode(text)))
}
