/// From a description of devices to open devices.
///
/// A description is a tree: [Options] maps names to values ([Option]), and some values are trees
/// again. It is text of no kind: who reads `json:{...}`, `driver=raw,file.filename=d` or a URI, or
/// a monitor's command, makes the same tree of it. A *node* of the tree describes one device:
///
///     driver      which device; the registry knows it by this name
///     node-name   what people and the monitor call it; made up if it is absent
///     read-only, discard, detect-zeroes, cache.direct, cache.no-flush, force-share
///                 what every device has ([NodeOptions.Common])
///     ...         what the driver itself takes
///     file, ...   its children: a node again, or the name of a node that is already open
///
/// [Registry] knows an [Opener] for each driver, and opens a tree in two steps. First it *reads*
/// the whole tree: every opener takes from [NodeOptions] what it understands, which says by name
/// what is missing, malformed or left over. Nothing has been opened by then, so a misspelt key
/// locks no file and connects to no server. Then it *opens* from the bottom up: each device is
/// added to the [dev.lockstep.block.graph.Graph] as a named node, and each child is an [Edge] to
/// it.
///
/// ```java
/// Registry registry = Registry.ofCore();                     // file, raw, null-co, ...
/// Options tree = Options.EMPTY.with("driver", "raw").with("file.driver", "file")
///         .with("file.filename", "disk.raw").with("offset", "1M");
/// try (Opened disk = registry.open(graph, tree, Inherited.NOTHING)) {
///     disk.root().device()...
/// }
/// ```
///
/// A module that brings a device brings its opener, and the program puts them together at its
/// start: `Registry.ofCore().with("nbd", NbdOpener::read)`.
@NullMarked
package dev.lockstep.block.open;

import org.jspecify.annotations.NullMarked;
