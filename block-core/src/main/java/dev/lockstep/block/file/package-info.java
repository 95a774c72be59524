/// Regular files and block devices of a Linux host.
///
/// [FileDevice] is the device; [FileOptions] says which file and how. Below it, one idea a class:
///
/// - [Posix] is the C header: each system call with its signature, no policy. [Errno] says what a
///   failed one means.
/// - [OpenFile] is an open descriptor and what is known of it for good: its length, where it lives
///   (disk or memory), the alignment that `O_DIRECT` asks for. It loops over short transfers.
/// - [FileOpener] opens, and explains in one sentence why it could not. [FileLock] keeps QEMU's
///   byte-range locks, so that QEMU and we never write one image at the same time.
/// - [InlineWrites] decides when a write to the page cache may be tried on a thread that must not
///   block. Reads need no such guess: the kernel itself says whether a read would block.
/// - [Flusher] lets the flushes that wait share one `fdatasync`, and remembers a failed one.
/// - [IoPool] is where system calls that block are made, since a native call pins the carrier of a
///   virtual thread.
///
/// What is cached where: with [CacheMode#WRITEBACK], the default, the kernel's page cache holds
/// what a flush has not yet made durable.
@NullMarked
package dev.lockstep.block.file;

import org.jspecify.annotations.NullMarked;
