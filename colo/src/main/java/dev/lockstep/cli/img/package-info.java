/// `lockstep img`: disk images made, looked at, checked, copied and compared, with qemu-img's
/// options, output, JSON and exit statuses.
///
/// [ImgCommand] has one subcommand a file. What they share: [ImageArguments] are the options that
/// say which image is meant, [Images] opens it, [Sizes] writes numbers as qemu-img does,
/// [JsonOutput] and [TextOutput] print one tree of facts in both forms, [TerminalProgress] tells
/// how far a long command is, and [Interruption] lets Ctrl-C end it with what it was making taken
/// away again.
///
/// What is told about an image comes from its header, so that `info` works on an image whose
/// backing file is gone or whose tables are damaged. Everything else goes through an open disk.
@NullMarked
package dev.lockstep.cli.img;

import org.jspecify.annotations.NullMarked;
