package io.github.panascope.hub;

import io.github.panascope.InputException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Locale;
import okhttp3.Response;

/**
 * Downloads the bytes of one file to the cache. Continues a partial download of an earlier attempt, follows the hub's
 * redirects, and verifies length and checksum before the file is moved to its final place.
 */
final class BlobDownload {
    /** Hexadecimal digits of the checksum of a file in large storage. */
    private static final int SHA256 = 64;
    /** Hexadecimal digits of the checksum of a small file, which git stores; files in large storage have SHA-256. */
    private static final int GIT_BLOB = 40;

    private final HubHttp http;
    private final Hub.Progress progress;

    BlobDownload(HubHttp http, Hub.Progress progress) {
        this.http = http;
        this.progress = progress;
    }

    /** Signals that writing to the cache failed, not reading from the network. */
    static final class CacheException extends IOException {
        private static final long serialVersionUID = 1L;

        CacheException(IOException cause) {
            super(InputException.reason(cause), cause);
        }
    }

    /** Returns the path of the partial download of a blob. */
    static Path part(Path blob) {
        return blob.resolveSibling(blob.getFileName() + ".panascope.incomplete");
    }

    /** Downloads a file, continuing where an earlier attempt was interrupted, and moves it to its final place. */
    Path to(String name, HubDownload.Description file, Path blob, HubHttp.Attempts attempts)
            throws IOException, InterruptedException {
        Path part = part(blob);
        if (Files.exists(part, LinkOption.NOFOLLOW_LINKS) && !Files.isRegularFile(part, LinkOption.NOFOLLOW_LINKS)) {
            throw new CacheException(new IOException(
                    part.getFileName() + " there is a link or a folder, and should be a file: remove it"));
        }
        boolean resumed = Files.exists(part);
        fetchAll(name, file, part, attempts);
        String wrong = wrong(file, part);
        if (wrong != null && resumed) { // the bytes of the earlier attempt may be damaged: start without them
            Files.delete(part);
            fetchAll(name, file, part, attempts);
            wrong = wrong(file, part);
        }
        if (wrong != null) {
            Files.delete(part);
            throw new IOException("the download is damaged: " + wrong);
        }
        return Files.move(part, blob, StandardCopyOption.ATOMIC_MOVE);
    }

    /** Sends requests until the file is complete or the attempts are used up. */
    private void fetchAll(String name, HubDownload.Description file, Path part, HubHttp.Attempts attempts)
            throws IOException, InterruptedException {
        while (true) {
            long have = Files.exists(part) ? Files.size(part) : 0;
            if (file.size() >= 0 && have > file.size()) {
                Files.delete(part);
                have = 0;
            }
            progress.update(name, have, file.size());
            if (have == file.size() && have > 0) return;
            requireRoom(part, file.size() - have);
            IOException cut;
            try {
                if (fetchRest(name, file, part, have, attempts)) {
                    progress.update(name, Files.size(part), Files.size(part));
                    return;
                }
                cut = new IOException("the server ended the download early");
            } catch (CacheException | FileSystemException e) {
                throw e; // the local disk failed: another request does not help
            } catch (IOException e) {
                cut = e;
            }
            long kept = Files.exists(part) ? Files.size(part) : 0;
            attempts.gained(kept - have);
            try {
                attempts.failed(cut, null);
            } catch (IOException e) {
                if (kept == 0) throw e;
                throw new IOException(
                        (e.getMessage() == null ? e.toString() : e.getMessage()) + "; " + kept
                                + " bytes are kept, and the next run goes on from there",
                        e);
            }
        }
    }

    /** Returns the number of bytes that the disk of a folder, which need not exist yet, has room for. */
    static long room(Path folder) {
        Path there = folder.toAbsolutePath();
        while (!Files.exists(there) && there.getParent() != null) there = there.getParent();
        try {
            return Files.getFileStore(there).getUsableSpace();
        } catch (IOException e) {
            return Long.MAX_VALUE; // unknown: writing will tell
        }
    }

    /** Checks before a download that the disk can hold it. */
    private static void requireRoom(Path part, long bytes) throws CacheException {
        long room = room(part);
        if (bytes > room)
            throw new CacheException(new IOException(String.format(
                    Locale.ROOT, "%.1f GB are missing, and the disk has room for %.1f GB", bytes / 1e9, room / 1e9)));
    }

    /** Sends one request for the missing bytes and returns whether the file is complete. */
    private boolean fetchRest(
            String name, HubDownload.Description file, Path part, long have, HubHttp.Attempts attempts)
            throws IOException, InterruptedException {
        try (Response response = http.ask("GET", file.address(), have, name, attempts)) {
            int status = response.code();
            if (status == 416) { // no bytes after these: the part is complete, or belongs to another file
                if (have == file.size() || file.size() < 0) return true;
                Files.deleteIfExists(part);
                return false;
            }
            if (status / 100 == 4) throw new HubHttp.FinalException("the server answered with status " + status);
            if (status != 200 && status != 206) throw new IOException("the server answered with status " + status);
            boolean append =
                    status == 206 && response.header("Content-Range", "").startsWith("bytes " + have + "-");
            if (status == 206
                    && HubHttp.isEncoded(
                            response)) { // a range of the compressed form, not of the file: start again from byte 0
                Files.deleteIfExists(part);
                return false;
            }
            if (status == 206 && !append) throw new IOException("the server sent another range than it was asked for");
            long expected = HubHttp.isEncoded(response) ? -1 : HubHttp.length(response, "Content-Length");
            long end = file.size() >= 0 ? file.size() : expected >= 0 ? expected + (append ? have : 0) : Long.MAX_VALUE;
            try (OutputStream out = open(part, append)) {
                long done = copy(name, http.body(response), out, append ? have : 0, end, file.size());
                return end == Long.MAX_VALUE || done == end;
            }
        }
    }

    /** Opens the partial file without following symbolic links, which would write to another file. */
    private static OutputStream open(Path part, boolean append) throws IOException {
        StandardOpenOption where = append ? StandardOpenOption.APPEND : StandardOpenOption.TRUNCATE_EXISTING;
        return Files.newOutputStream(
                part, StandardOpenOption.CREATE, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS, where);
    }

    /** Copies the body to the file; fails if the server sends more bytes than it announced. */
    private long copy(String name, InputStream body, OutputStream out, long start, long end, long total)
            throws IOException {
        byte[] buffer = new byte[1 << 16];
        long done = start;
        for (int read; (read = body.read(buffer)) >= 0; ) {
            if (done + read > end)
                throw new HubHttp.FinalException("the server sent more than the " + end + " bytes that it announced");
            try {
                out.write(buffer, 0, read);
            } catch (IOException e) {
                throw new CacheException(e); // such as a full disk, for which a retry does not help
            }
            done += read;
            progress.update(name, done, total);
        }
        return done;
    }

    /**
     * Returns what is wrong with a finished download, or null if nothing is. An ETag of 64 hexadecimal digits is a
     * SHA-256 checksum, one of 40 digits is the git name of the blob; any other ETag is not checked.
     */
    private static String wrong(HubDownload.Description file, Path part) throws IOException {
        long size = Files.size(part);
        if (file.size() >= 0 && size != file.size()) return "it has " + size + " bytes and should have " + file.size();
        if (!file.etag().matches("[0-9a-fA-F]{" + GIT_BLOB + "}|[0-9a-fA-F]{" + SHA256 + "}")) return null;
        boolean sha256 = file.etag().length() == SHA256;
        try (InputStream in = Files.newInputStream(part)) {
            MessageDigest digest = MessageDigest.getInstance(sha256 ? "SHA-256" : "SHA-1");
            if (!sha256) digest.update(("blob " + size + "\0").getBytes(StandardCharsets.US_ASCII));
            byte[] buffer = new byte[1 << 16];
            for (int read; (read = in.read(buffer)) >= 0; ) digest.update(buffer, 0, read);
            String found = HexFormat.of().formatHex(digest.digest());
            return found.equalsIgnoreCase(file.etag())
                    ? null
                    : "its " + (sha256 ? "SHA-256" : "git checksum") + " is " + found + " and should be " + file.etag();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256 and SHA-1", e);
        }
    }
}
