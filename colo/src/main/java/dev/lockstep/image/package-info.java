/// From what people write for a disk to the open disk. [ImageSpec] is what a command line says,
/// [Drivers] all that it can name, [OpenImage] the disk with everything that belongs to it.
///
/// What is written becomes a tree of [dev.lockstep.block.open.Options]:
///
/// - [ImageText] reads the FILE of a command line: a path, `file:PATH`, a URI such as
///   `nbd://host/export` or `null-co://`, `json:{...}`, or with `--image-opts` dotted options.
/// - [KeyValues] reads `key=value,key.part=value`, where a comma in a value is written twice.
/// - [JsonOptions] makes a tree of JSON.
@NullMarked
package dev.lockstep.image;

import org.jspecify.annotations.NullMarked;
