//! The few small files of a context as a tar archive; those that come from elsewhere are not trusted.

/// A block of a tar archive.
const BLOCK: usize = 512;

/// One archive of regular files.
pub(super) fn write(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in files {
        let mut head = [0_u8; BLOCK];
        head[..name.len().min(100)].copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
        let mut put = |at: usize, text: String| head[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(100, "0000600\0".to_owned());
        put(108, "0000000\0".to_owned());
        put(116, "0000000\0".to_owned());
        put(124, format!("{:011o}\0", bytes.len()));
        put(136, "00000000000\0".to_owned());
        put(148, "        ".to_owned());
        put(156, "0".to_owned());
        put(257, "ustar\x0000".to_owned());
        let sum = format!("{:06o}\0 ", checksum(&head));
        head[148..156].copy_from_slice(sum.as_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

/// Its regular files; directories are passed over, and anything else is refused.
pub(super) fn read(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>, &'static str> {
    let mut files = Vec::new();
    let mut rest = archive;
    while let Some((head, after)) = rest.split_at_checked(BLOCK) {
        if head.iter().all(|byte| *byte == 0) {
            return Ok(files);
        }
        let stated = octal(&head[148..156]).ok_or("it is no tar archive")?;
        let mut plain: [u8; BLOCK] = head.try_into().map_err(|_| "it is no tar archive")?;
        plain[148..156].fill(b' ');
        if stated != checksum(&plain) {
            return Err("it is no tar archive");
        }
        let length = octal(&head[124..136]).ok_or("it is no tar archive")?;
        let length = usize::try_from(length).map_err(|_| "it is cut short")?;
        let name = head[..100].split(|byte| *byte == 0).next().unwrap_or_default();
        let name = String::from_utf8(name.to_vec()).map_err(|_| "a name is not UTF-8")?;
        let (bytes, _) = after.split_at_checked(length).ok_or("it is cut short")?;
        match head[156] {
            b'0' | 0 => files.push((name, bytes.to_vec())),
            b'5' => {}
            _ => return Err("it holds something else than files"),
        }
        rest = after.get(length.next_multiple_of(BLOCK)..).unwrap_or_default();
    }
    Ok(files)
}

fn checksum(head: &[u8; BLOCK]) -> u64 {
    head.iter().map(|byte| u64::from(*byte)).sum()
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    u64::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_come_back_as_they_were_and_broken_ones_do_not() {
        let files = vec![("meta.json".to_owned(), b"{}".to_vec()), ("tls/docker/ca.pem".to_owned(), vec![7; 1500])];
        let archive = write(&files);
        assert_eq!(read(&archive).unwrap(), files);
        for cut in [600, 1200, 2000] {
            assert!(read(&archive[..cut]).is_err() || read(&archive[..cut]).unwrap().len() < 2, "{cut}");
        }
        let mut other = archive.clone();
        other[156] = b'2';
        assert!(read(&other).is_err());
        let mut huge = archive;
        huge[124..136].copy_from_slice(b"77777777777\0");
        assert!(read(&huge).is_err());
        assert!(read(&[1; 1024]).is_err());
    }
}
