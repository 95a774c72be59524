/// A filter that writes what is read from a backing image into the image above it, with QEMU's name
/// `copy-on-read`: what was read once is local afterwards.
///
///     file      the image
///     bottom    the node-name of the lowest image of its chain whose data is copied; all are if it
///               is not told
@NullMarked
package dev.lockstep.block.filter.copyonread;

import org.jspecify.annotations.NullMarked;
