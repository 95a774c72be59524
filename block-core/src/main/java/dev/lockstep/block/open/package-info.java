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
/// **What an image names.** A qcow2 image may name its backing file and its data file. Which, is
/// known only when its header was read, in the second step; so its opener keeps an [ImpliedEdge]
/// for each and asks for the child while it opens. The options have the last word: they name
/// another child, or none, or add to how the named one is opened. A relative name of a backing file
/// is one in the folder of the overlay's file. Backing files are opened read-only. A chain that
/// comes back to a file of its own is refused before that file is opened, and so is one of more
/// than 200.
///
/// **What nobody named.** A node without a `driver` but with a `file` is an image whose format its
/// first sector tells ([dev.lockstep.block.filter.probe]). What then looks raw and may be written
/// to is guarded, and told of by [Opened#guessedRaw]; a backing file is looked at too, unless the
/// overlay records its format.
///
/// A module that brings a device brings its opener, and the program puts them together at its
/// start: `Registry.ofCore().with("nbd", NbdOpener::read)`.
@NullMarked
package dev.lockstep.block.open;

import org.jspecify.annotations.NullMarked;
