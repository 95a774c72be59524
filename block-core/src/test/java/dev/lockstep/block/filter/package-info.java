/// What the tests of filters share: [dev.lockstep.block.filter.Tree] opens a filter by its options,
/// [dev.lockstep.block.filter.Script] does the same operations here and with qemu-io.
@NullMarked
package dev.lockstep.block.filter;

import org.jspecify.annotations.NullMarked;
