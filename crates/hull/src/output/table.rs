//! Columns as docker lays them out: cells at least ten wide, three blanks between them.

const MINIMUM: usize = 10;
const PADDING: usize = 3;

/// Lays out lines whose cells are parted by tabs. The last cell of a line is not padded.
pub(crate) fn layout(text: &str) -> String {
    layout_with(text, MINIMUM)
}

/// The same with another least width.
pub(crate) fn layout_with(text: &str, minimum: usize) -> String {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths = vec![minimum; columns];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(&row[..row.len().saturating_sub(1)]) {
            *width = (*width).max(cell.chars().count() + PADDING);
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for row in &rows {
        for (at, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if at + 1 < row.len() {
                out.extend(std::iter::repeat_n(' ', widths[at].saturating_sub(cell.chars().count())));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_looks_like_dockers() {
        let text = "CONTAINER ID\tIMAGE\tPORTS\tNAMES\n0123456789ab\tbusybox\t\tweb\n";
        let want = "CONTAINER ID   IMAGE     PORTS     NAMES\n\
                    0123456789ab   busybox             web\n";
        assert_eq!(layout(text), want);
    }

    #[test]
    fn rows_of_different_length_are_laid_out() {
        assert_eq!(layout("a\tb\nlong\n"), "a         b\nlong\n");
        assert_eq!(layout(""), "");
    }
}
