//! Updates of the own root: to cell A, and after that returned, to cell B; in force when both returned; one in flight at a time.

use leadership::{Cell, Root};
use platform::{FileId, Files};

use crate::claims;
use crate::failure::Failure;

/// Writes `root` to both cells; in force when this returned.
pub(crate) async fn write(files: &Files, claim: FileId, root: &Root) -> Result<(), Failure> {
    let encode = || {
        root.encode().map_err(|_| {
            Failure::unfit(
                format!("the root lists {} sealed epochs, more than fit", root.sealed.len()),
                "report this, with the output of `holdfast journal inspect`: a leader names checkpoints before the list is full",
            )
        })
    };
    claims::write_cell(files, claim, Cell::RootA, encode()?).await?;
    claims::write_cell(files, claim, Cell::RootB, encode()?).await
}
