//! What is asked of registries without transferring an image: login, search, what a name means there.

use hull_registry::{Credentials, Document, Manifest, Repository};
use hull_types::{Fault, ImageRef};
use hull_wire as wire;

use super::wanted;
use crate::core::Core;

const HUB: &str = "docker.io";
/// docker's bounds of a search.
const MAX_FOUND: u64 = 100;

/// The credentials of docker's `X-Registry-Auth`.
pub(super) fn credentials(header: &str) -> Result<Credentials, Fault> {
    Credentials::of_header(header).ok_or_else(|| Fault::invalid("the header X-Registry-Auth is malformed"))
}

/// `POST /auth`.
pub(crate) async fn login(core: &Core, document: &[u8]) -> Result<wire::AuthResponse, Fault> {
    #[derive(serde::Deserialize)]
    struct Server {
        #[serde(default)]
        serveraddress: String,
    }
    let malformed = || Fault::invalid("the credentials are malformed");
    let server: Server = serde_json::from_slice(document).map_err(|_| malformed())?;
    let credentials = Credentials::of_document(document).ok_or_else(malformed)?;
    if credentials == Credentials::Anonymous {
        return Err(Fault::invalid("there is no user name"));
    }
    let domain = domain(&server.serveraddress)?;
    let logged_in = core.transfers.client()?.login(&domain, &credentials).await?;
    Ok(wire::AuthResponse {
        status: "Login Succeeded".to_owned(),
        identity_token: logged_in.identity.unwrap_or_default(),
    })
}

/// The registry of an address as docker keeps them: `https://index.docker.io/v1/`, `host[:port]`.
fn domain(address: &str) -> Result<String, Fault> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    match host {
        "" | "index.docker.io" | "registry-1.docker.io" => Ok(HUB.to_owned()),
        host => match format!("{host}/x").parse::<ImageRef>() {
            Ok(name) if name.domain() == host => Ok(host.to_owned()),
            _ => Err(Fault::invalid(format!("`{}` is no registry", host.escape_debug()))),
        },
    }
}

/// `GET /images/search`. A term may begin with a registry.
pub(crate) async fn search(
    core: &Core,
    term: &str,
    limit: Option<u64>,
    auth: &str,
) -> Result<Vec<wire::SearchResult>, Fault> {
    let limit = limit.unwrap_or(25);
    if limit == 0 || limit > MAX_FOUND {
        return Err(Fault::invalid(format!("limit {limit} is outside the range of [1, {MAX_FOUND}]")));
    }
    if term.is_empty() || term.len() > 256 {
        return Err(Fault::invalid("the term to search for is missing or too long"));
    }
    let (domain, term) = match term.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (domain(first)?, rest),
        _ => (HUB.to_owned(), term),
    };
    let found = core.transfers.client()?.search(&domain, term, limit, &credentials(auth)?).await?;
    Ok(found
        .into_iter()
        .map(|found| wire::SearchResult {
            name: found.name,
            description: found.description.unwrap_or_default(),
            star_count: found.star_count,
            is_official: found.is_official,
            is_automated: false,
        })
        .collect())
}

/// The document that a name means at its registry.
pub(crate) async fn manifest(core: &Core, reference: &ImageRef, auth: &str) -> Result<Vec<u8>, Fault> {
    let (document, _, _) = document(core, reference, auth).await?;
    Ok(document.bytes)
}

/// `GET /distribution/{name}/json`.
pub(crate) async fn distribution(
    core: &Core,
    reference: &ImageRef,
    auth: &str,
) -> Result<wire::DistributionInspect, Fault> {
    let (document, manifest, registry) = document(core, reference, auth).await?;
    let platforms = match manifest {
        Manifest::Index(index) => index.entries.iter().filter_map(|entry| entry.platform()).collect(),
        Manifest::Image(image) => {
            let config = registry.small_blob(&image.config.digest, image.config.size).await?;
            let config: hull_image::ImageConfig = serde_json::from_slice(&config)
                .map_err(|error| Fault::invalid("the image's configuration is malformed").cause(error))?;
            vec![config.platform()]
        }
    };
    let media_type = document.media_type.split(';').next().unwrap_or_default().trim().to_owned();
    Ok(wire::DistributionInspect {
        descriptor: wire::Descriptor {
            media_type,
            digest: document.digest.to_string(),
            size: i64::try_from(document.bytes.len()).unwrap_or(i64::MAX),
        },
        platforms: platforms
            .into_iter()
            .map(|platform: hull_types::Platform| wire::DescriptorPlatform {
                architecture: platform.architecture,
                os: platform.os,
                variant: platform.variant.unwrap_or_default(),
            })
            .collect(),
    })
}

async fn document(core: &Core, reference: &ImageRef, auth: &str) -> Result<(Document, Manifest, Repository), Fault> {
    let sources = core.transfers.client()?.sources(reference, &credentials(auth)?);
    let mut failure = None;
    for source in sources {
        match source.manifest(&wanted(reference)).await {
            Ok(document) => {
                let manifest = document.parse(source.authority())?;
                return Ok((document, manifest, source));
            }
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.map_or_else(|| Fault::internal("there is no place to ask"), Fault::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_registries_as_docker_keeps_them() {
        for (address, expected) in [
            ("https://index.docker.io/v1/", Some("docker.io")),
            ("", Some("docker.io")),
            ("127.0.0.1:5000", Some("127.0.0.1:5000")),
            ("https://r.example:1/v2/", Some("r.example:1")),
            ("no host", None),
            ("plain", None),
        ] {
            assert_eq!(domain(address).ok().as_deref(), expected, "{address}");
        }
    }
}
