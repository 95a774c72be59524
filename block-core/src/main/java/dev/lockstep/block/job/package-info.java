/// Jobs on whole chains of images: what they read and write, without who opens the images.
///
/// - [CommitJob] brings what lies above a base image into it, as `qemu-img commit` and QEMU's
///   block-commit do.
/// - [RebaseJob] makes an image independent of what lies below it, as far as something else that is
/// to
///   lie there differs, as `qemu-img rebase` does.
///
/// Both are a [Job], and copies ([dev.lockstep.block.copy.DeviceCopy]) from an image of which a
/// [Selection] shows a part. A job that was cut short has changed nothing that a guest sees in the
/// image at the top: what is copied into a base is still above it, and what is copied into an image
/// is what was seen there. Whoever runs a job flushes what it wrote before he gives up what it
/// read: empties the top ([dev.lockstep.block.format.Layer#makeEmpty]), or records the other
/// backing file.
@NullMarked
package dev.lockstep.block.job;

import org.jspecify.annotations.NullMarked;
