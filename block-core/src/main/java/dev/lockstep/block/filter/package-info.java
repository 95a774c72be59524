/// Devices that stand in front of one other and let most of it through.
///
/// A filter extends [dev.lockstep.block.filter.FilterDevice], which passes every request on, and
/// overrides what it is about; each filter has a package of its own below this one. A device whose
/// every request differs from its child's, such as one that caches or shifts offsets, is no filter
/// in this sense: what it forgot to override would go past it.
///
/// Two more classes are there to begin with: [dev.lockstep.block.filter.ResizableFilter] passes
/// changes of the length on as well, and [dev.lockstep.block.filter.BlockFilter] is for a filter
/// that takes whole blocks of some size only.
@NullMarked
package dev.lockstep.block.filter;

import org.jspecify.annotations.NullMarked;
