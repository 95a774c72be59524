package dev.lockstep.block.file;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;

/// What the JDK's file exceptions mean. Of the common ones the message is the file's name alone.
public final class FileErrors {
    private FileErrors() {}

    /// The reason in the words of the C library, without the file.
    public static String reason(IOException e) {
        return switch (e) {
            case NoSuchFileException _ -> "No such file or directory";
            case AccessDeniedException _ -> "Permission denied";
            case FileAlreadyExistsException _ -> "File exists";
            case FileSystemException named when named.getReason() != null -> named.getReason();
            default -> e.getMessage() == null ? e.toString() : e.getMessage();
        };
    }
}
