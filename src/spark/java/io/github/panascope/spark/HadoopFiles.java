package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.zip.CRC32C;
import java.util.zip.CheckedInputStream;
import java.util.zip.CheckedOutputStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CommonPathCapabilities;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkEnv;
import org.apache.spark.deploy.SparkHadoopUtil;

/**
 * The files of a folder in any Hadoop file system, such as {@code file:}, {@code hdfs:} or {@code s3a:}. A file appears
 * as a whole or not at all: where a rename is atomic, it is written under another name and renamed; in an object store
 * it appears when its stream is closed. Errors are sentences with the place.
 */
final class HadoopFiles {
    /** Stores in which a rename is a copy, and a file appears when its stream is closed. */
    private static final Set<String> OBJECT_STORES =
            Set.of("s3a", "s3", "s3n", "gs", "oss", "obs", "cosn", "wasb", "wasbs");
    /** The file systems in which a rename that replaces a file is one step. */
    private static final Set<String> REPLACING = Set.of("hdfs", "viewfs", "abfs", "abfss");

    private static final String PART = ".part";
    private static final int BUFFER = 1 << 20;

    private final FileSystem system;
    private final Path folder;

    /**
     * A file as it was put into the folder.
     *
     * @param name     its name within the folder
     * @param size     the number of its bytes
     * @param checksum the CRC-32C of its bytes
     */
    record Entry(String name, long size, int checksum) implements Serializable {}

    private HadoopFiles(FileSystem system, Path folder) {
        this.system = system;
        this.folder = folder;
    }

    /**
     * Opens a folder, which need not exist.
     *
     * @param place a URI, or a path of the default file system
     * @throws InputException if there is no such file system
     */
    static HadoopFiles at(String place) {
        try {
            Path path = new Path(place);
            FileSystem found = path.getFileSystem(configuration());
            // The checked form of the local file system leaves a hidden file beside each file.
            if (found instanceof LocalFileSystem local) found = local.getRaw();
            HadoopFiles files = new HadoopFiles(found, found.makeQualified(path));
            if (files.isLocal()) files.local(); // refuses characters that this machine's names of files cannot have
            return files;
        } catch (IllegalArgumentException | IOException e) {
            throw new InputException(place + " is in no file system that can be used: " + reason(e) + ".", e);
        }
    }

    /** {@return Hadoop's configuration with the settings {@code spark.hadoop.*}, on the driver and in tasks} */
    private static Configuration configuration() {
        SparkEnv environment = SparkEnv.get();
        return environment == null ? new Configuration() : SparkHadoopUtil.get().newConfiguration(environment.conf());
    }

    /** {@return the local path of a URI such as {@code file:/data}} */
    static java.nio.file.Path localPath(String uri) {
        return nio(new Path(uri));
    }

    /** {@return a folder within this one} */
    HadoopFiles within(String name) {
        return new HadoopFiles(system, new Path(folder, name));
    }

    /** {@return whether the files lie in a local or mounted file system, where Java can read them in place} */
    boolean isLocal() {
        return scheme().equals("file");
    }

    /** {@return the folder as a path of a local file system} */
    java.nio.file.Path local() {
        return nio(folder);
    }

    private Path path(String name) {
        return name.isEmpty() ? folder : new Path(folder, name);
    }

    /** {@return the files and folders in the folder, by name; none if it does not exist} */
    List<FileStatus> list() {
        try {
            return Arrays.stream(system.listStatus(folder))
                    .sorted(Comparator.comparing(FileStatus::getPath))
                    .toList();
        } catch (FileNotFoundException e) {
            return List.of();
        } catch (IOException e) {
            throw cannot("read", "", e);
        }
    }

    /** {@return whether this is a folder that exists; false for a file} */
    boolean isFolder() {
        try {
            return system.getFileStatus(folder).isDirectory();
        } catch (FileNotFoundException e) {
            return false;
        } catch (IOException e) {
            throw cannot("read", "", e);
        }
    }

    /** {@return the paths of the files in the folder and in folders in it, at most so many parts long} */
    List<String> names(int parts) {
        List<String> found = new ArrayList<>();
        for (FileStatus each : list()) {
            String name = each.getPath().getName();
            if (each.isFile()) found.add(name);
            else if (parts > 1) for (String inner : within(name).names(parts - 1)) found.add(name + "/" + inner);
        }
        return found;
    }

    /** {@return the size of a file; -1 if it does not exist} */
    long size(String name) {
        try {
            return system.getFileStatus(path(name)).getLen();
        } catch (FileNotFoundException e) {
            return -1;
        } catch (IOException e) {
            throw cannot("read", name, e);
        }
    }

    /** {@return the time of the last write, in milliseconds since 1970; -1 if the file does not exist} */
    long modified(String name) {
        try {
            return system.getFileStatus(path(name)).getModificationTime();
        } catch (FileNotFoundException e) {
            return -1;
        } catch (IOException e) {
            throw cannot("read", name, e);
        }
    }

    /** {@return the file system's time, in milliseconds since 1970: its clock may differ from this machine's} */
    long now() {
        String name = "._clock-" + UUID.randomUUID() + PART;
        put(name, "");
        try {
            return modified(name);
        } finally {
            deleteQuietly(path(name));
        }
    }

    /** {@return the text of a file; null if it does not exist} */
    String text(String name) {
        try (InputStream in = system.open(path(name))) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (FileNotFoundException e) {
            return null;
        } catch (IOException e) {
            throw cannot("read", name, e);
        }
    }

    /** Writes a file of text; one of the name is replaced. */
    void put(String name, String text) {
        write(name, out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
    }

    /** Copies a local file to a name; one of the name is replaced. */
    Entry put(java.nio.file.Path from, String name) {
        return write(name, out -> {
            try (InputStream in = Files.newInputStream(from)) {
                in.transferTo(out);
            }
        });
    }

    private interface Content {
        void to(OutputStream out) throws IOException;
    }

    private Entry write(String name, Content content) {
        Path target = path(name);
        boolean renames = !OBJECT_STORES.contains(scheme());
        Path part = renames
                ? new Path(target.getParent(), "." + target.getName() + "." + UUID.randomUUID() + PART)
                : target;
        boolean written = false;
        try {
            Entry entry = stream(name, part, content);
            if (renames) rename(part, target);
            written = true;
            return entry;
        } catch (IOException e) {
            throw cannot("written", name, e);
        } finally {
            if (!written && renames) deleteQuietly(part);
        }
    }

    /** Writes a file. If the content cannot be had, an object store must not show the part that was written. */
    private Entry stream(String name, Path file, Content content) throws IOException {
        CRC32C checksum = new CRC32C();
        long size;
        try (FSDataOutputStream out = system.create(file, true, BUFFER)) {
            boolean whole = false;
            try {
                content.to(new CheckedOutputStream(out, checksum));
                whole = true;
            } finally {
                if (!whole && out.hasCapability(CommonPathCapabilities.ABORTABLE_STREAM)) out.abort();
            }
            size = out.getPos();
        }
        long found = system.getFileStatus(file).getLen();
        if (found != size) throw new IOException("it has " + found + " bytes instead of " + size);
        return new Entry(name, size, (int) checksum.getValue());
    }

    private void rename(Path part, Path target) throws IOException {
        if (isLocal()) {
            Files.move(nio(part), nio(target), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } else if (REPLACING.contains(scheme())) {
            FileContext.getFileContext(target.toUri(), system.getConf()).rename(part, target, Options.Rename.OVERWRITE);
        } else {
            system.delete(target, false);
            if (!system.rename(part, target)) throw new IOException("it cannot be renamed from " + part.getName());
        }
    }

    private String scheme() {
        return folder.toUri().getScheme();
    }

    /** Deletes what processes that were killed left of files that they were writing. */
    void deleteParts() {
        for (FileStatus file : list()) {
            String name = file.getPath().getName();
            if (file.isFile() && name.startsWith(".") && name.endsWith(PART)) delete(name);
        }
    }

    private static java.nio.file.Path nio(Path path) {
        return java.nio.file.Path.of(path.toUri().getPath());
    }

    /** Deletes the folder with its content, if that can be done. */
    void deleteQuietly() {
        deleteQuietly(folder);
    }

    private void deleteQuietly(Path file) {
        try {
            system.delete(file, true);
        } catch (IOException e) {
            // what is reported is why it could not be written
        }
    }

    /**
     * Writes a file that must not exist yet.
     *
     * @return whether this call made it
     */
    boolean create(String name, String text) {
        OutputStream made;
        try {
            made = isLocal() ? createLocal(name) : createElsewhere(name);
        } catch (IOException e) {
            if (size(name) >= 0) return false; // file systems report a file that exists in several ways
            throw cannot("written", name, e);
        }
        try (OutputStream out = made) {
            out.write(text.getBytes(StandardCharsets.UTF_8));
            return true;
        } catch (IOException e) {
            if (!OBJECT_STORES.contains(scheme())) deleteQuietly(path(name));
            else if (size(name) >= 0) return false; // another one closed its stream before
            throw cannot("written", name, e);
        }
    }

    /** Hadoop's own way asks first, and creates the file then. */
    private OutputStream createLocal(String name) throws IOException {
        Files.createDirectories(local());
        return Files.newOutputStream(nio(path(name)), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    }

    /** S3 makes an object only if there is none when it is asked to. */
    OutputStream createElsewhere(String name) throws IOException {
        FSDataOutputStreamBuilder<?, ?> builder = system.createFile(path(name));
        return builder.recursive()
                .overwrite(false)
                .opt(Options.CreateFileOptionKeys.FS_OPTION_CREATE_CONDITIONAL_OVERWRITE, true)
                .build();
    }

    /** Copies a file to a local path, whose folders are made. */
    void fetch(String name, java.nio.file.Path to) {
        fetch(new Entry(name, -1, 0), to);
    }

    /**
     * Copies a file to a local path, whose folders are made.
     *
     * @param entry the file as it was put; a negative size if that is not known
     * @throws InputException if the file is missing, or has other bytes than were put
     */
    void fetch(Entry entry, java.nio.file.Path to) {
        CRC32C checksum = new CRC32C();
        try {
            Files.createDirectories(to.getParent());
            try (InputStream in = new CheckedInputStream(system.open(path(entry.name), BUFFER), checksum)) {
                Files.copy(in, to, StandardCopyOption.REPLACE_EXISTING);
            }
            if (entry.size >= 0 && (Files.size(to) != entry.size || (int) checksum.getValue() != entry.checksum))
                throw new InputException(path(entry.name)
                        + " is damaged: it has other bytes than were written. Put a copy of it back, or"
                        + " delete the folder that it lies in and submit the job again.");
        } catch (FileNotFoundException e) {
            throw new InputException(
                    path(entry.name)
                            + " is missing: put a copy of it back, or delete the folder that it lay in and submit"
                            + " the job again.",
                    e);
        } catch (IOException e) {
            throw cannot("read", entry.name, e);
        }
    }

    /** Deletes a file, or a folder with its content; it need not exist. */
    void delete(String name) {
        try {
            system.delete(path(name), true);
        } catch (IOException e) {
            throw cannot("deleted", name, e);
        }
    }

    private RuntimeException cannot(String done, String name, IOException e) {
        if (e instanceof InterruptedIOException) RunInterruptedException.check("using " + path(name), e);
        return new InputException(path(name) + " cannot be " + done + ": " + reason(e) + ".", e);
    }

    /** {@return why something failed, without the lines of a trace that Hadoop puts into its messages} */
    private static String reason(Exception e) {
        String reason = e instanceof IOException io ? InputException.reason(io) : String.valueOf(e.getMessage());
        return reason.lines().findFirst().orElse("").replaceAll("[.:]\\s*$", "");
    }

    /** {@return the URI of the folder} */
    @Override
    public String toString() {
        return folder.toString();
    }
}
