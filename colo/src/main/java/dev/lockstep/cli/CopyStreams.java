package dev.lockstep.cli;

import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.block.copy.Sink;
import dev.lockstep.block.copy.StreamCopy;
import dev.lockstep.cli.CopyPlace.Opened;

import org.jspecify.annotations.Nullable;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/// Copies where one side is a pipe: in order, on this thread.
///
/// @param progress as [CopyProgress#start] takes it
/// @param flush whether a destination with positions is flushed
record CopyStreams(CopyOptions options, @Nullable String progress, boolean flush) {
    void run(CopyPlace from, CopyPlace to) throws IOException, InterruptedException {
        if (from instanceof CopyPlace.Stream stream) {
            try (FileChannel input = input(stream)) {
                read(input, to);
            }
        } else if (to instanceof CopyPlace.Stream stream) {
            try (Opened source = CopyPlace.openSource(from, 1);
                    FileChannel output = output(stream)) {
                StreamCopy copy = new StreamCopy(options);
                telling(
                        copy,
                        source.length(),
                        () -> copy.write(source.gate(), source.length(), output));
            }
        }
    }

    private interface Action {
        void run() throws IOException;
    }

    private void telling(StreamCopy copy, long total, Action action)
            throws IOException, InterruptedException {
        try (CopyProgress telling = CopyProgress.start(progress, copy::doneBytes, total)) {
            try {
                action.run();
            } catch (IOException e) {
                throw new IOException(e.getMessage() + "; the copy is incomplete", e);
            }
            if (telling != null) {
                telling.complete();
            }
        }
    }

    private void read(FileChannel input, CopyPlace to) throws IOException, InterruptedException {
        StreamCopy copy = new StreamCopy(options);
        switch (to) {
            case CopyPlace.Stream stream -> {
                try (FileChannel output = output(stream)) {
                    telling(copy, 0, () -> copy.read(input, inOrder(output)));
                }
            }
            case CopyPlace.Local(Path path) when CopyPlace.isNew(to) -> {
                CopyPlace.makeEmpty(path, 0);
                try (FileChannel file = FileChannel.open(path, StandardOpenOption.WRITE)) {
                    telling(copy, 0, () -> setLength(file, copy.read(input, inFile(file))));
                    if (flush) {
                        file.force(false);
                    }
                }
            }
            case CopyPlace.Nowhere _ -> telling(copy, 0, () -> copy.read(input, FORGETTING));
            case CopyPlace.Remote _, CopyPlace.Started _, CopyPlace.Local _ -> {
                try (Opened target = CopyPlace.openTarget(to, 1, 0)) {
                    telling(
                            copy,
                            0,
                            () -> {
                                copy.read(input, Sink.of(target.gate(), options));
                                if (flush) {
                                    target.gate().flush();
                                }
                            });
                }
            }
        }
    }

    private static final Sink FORGETTING =
            new Sink() {
                @Override
                public void write(long offset, ByteBuffer bytes) {
                    bytes.position(bytes.limit());
                }

                @Override
                public void zero(long offset, long length) {}
            };

    /// A pipe gets everything in turn, zeroes too.
    private static Sink inOrder(FileChannel output) {
        return new Sink() {
            @Override
            public void write(long offset, ByteBuffer bytes) throws IOException {
                while (bytes.hasRemaining()) {
                    output.write(bytes);
                }
            }

            @Override
            public void zero(long offset, long length) throws IOException {
                for (long rest = length; rest > 0; ) {
                    ByteBuffer zeroes = ByteBuffer.allocate((int) Math.min(rest, 1 << 16));
                    rest -= zeroes.remaining();
                    write(offset, zeroes);
                }
            }
        };
    }

    /// An empty file grows, and zeroes are left out where that makes holes.
    private Sink inFile(FileChannel file) {
        return new Sink() {
            @Override
            public void write(long offset, ByteBuffer bytes) throws IOException {
                for (long at = offset; bytes.hasRemaining(); ) {
                    at += file.write(bytes, at);
                }
            }

            @Override
            public void zero(long offset, long length) {}
        };
    }

    /// The zeroes at a stream's end are part of its length.
    private static void setLength(FileChannel file, long length) throws IOException {
        if (file.size() < length) {
            file.write(ByteBuffer.allocate(1), length - 1);
        }
    }

    private static FileChannel input(CopyPlace.Stream stream) throws IOException {
        return stream.isStandard()
                ? new FileInputStream(FileDescriptor.in).getChannel()
                : FileChannel.open(stream.path(), StandardOpenOption.READ);
    }

    private static FileChannel output(CopyPlace.Stream stream) throws IOException {
        return stream.isStandard()
                ? new FileOutputStream(FileDescriptor.out).getChannel()
                : FileChannel.open(stream.path(), StandardOpenOption.WRITE);
    }
}
