/// Devices that stand in front of one other and let most of it through.
///
/// A filter extends [dev.lockstep.block.filter.FilterDevice], which passes every request on, and
/// overrides what it is about; each filter has a package of its own below this one. A device whose
/// every request differs from its child's, such as one that caches or shifts offsets, is no filter
/// in this sense: what it forgot to override would go past it.
@NullMarked
package dev.lockstep.block.filter;

import org.jspecify.annotations.NullMarked;
