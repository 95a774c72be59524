package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.open.Option;
import dev.lockstep.block.open.Options;
import dev.lockstep.image.ImageSpec;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/// The file that a name means, if it means one.
final class NewFile {
    private NewFile() {}

    /// The path of the file that holds an image, or null if that is no file: a server, say.
    static @Nullable Path pathOf(ImageSpec spec) throws BlockException {
        Options tree;
        try {
            tree = spec.tree();
        } catch (IllegalArgumentException e) {
            throw new BlockException(Kind.INVALID, String.valueOf(e.getMessage()), e);
        }
        Options holder = tree.find("file") instanceof Options child ? child : tree;
        boolean file =
                holder.find("driver") instanceof Option.Text(String driver)
                        && driver.equals("file");
        return file && holder.find("filename") instanceof Option.Text(String name)
                ? Path.of(name)
                : null;
    }

    /// Makes an image. If that fails, no file is there that was not before.
    static void make(NewImage image, String file, String cache) throws IOException {
        Path path = pathOf(new ImageSpec(file, "raw", false));
        boolean wasThere = path == null || Files.exists(path);
        boolean done = false;
        try {
            image.make(file, cache);
            done = true;
        } finally {
            if (!done && !wasThere && path != null) {
                Files.deleteIfExists(path);
            }
        }
    }

    /// Makes an empty file where there is none.
    static void createIfMissing(ImageSpec spec) throws IOException {
        Path path = pathOf(spec);
        if (path == null || Files.exists(path)) {
            return;
        }
        try {
            Files.createFile(path);
        } catch (FileAlreadyExistsException _) {
            // Somebody else was first; who of us may use it is decided by its lock.
        } catch (NoSuchFileException e) {
            throw new IOException("cannot make %s: its folder does not exist".formatted(path), e);
        } catch (IOException e) {
            throw new IOException("cannot make %s: %s".formatted(path, e), e);
        }
    }
}
