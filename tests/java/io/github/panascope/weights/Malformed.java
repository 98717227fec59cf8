package io.github.panascope.weights;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdInputStream;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.regex.Pattern;
import java.util.zip.CRC32;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/** Files that keep to the outer rules of a format, checksums and lengths included, and say what cannot be. */
final class Malformed {
    private static final String[] NUMBERS = {
        "0",
        "1",
        "-1",
        "2",
        "7",
        "1.5",
        "0.1",
        "2147483647",
        "2147483648",
        "4294967296",
        "9007199254740992",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1e18",
        "1e308",
        "1e400",
        "NaN",
        "Infinity",
        "-0",
        "00",
        "1_000",
        "0x10",
        "1" + "0".repeat(2000)
    };
    private static final String[] OTHERS = {
        "null",
        "true",
        "false",
        "\"\"",
        "\"a\"",
        "[]",
        "{}",
        "[[]]",
        "[null]",
        "{\"a\":null}",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "[0,1]",
        "[1,0]",
        "[-1]",
        "\"F32\"",
        "\"U8\"",
        "\"" + "x".repeat(5000) + "\"",
        "[".repeat(400) + "]".repeat(400),
        "[".repeat(3000),
        "{\"a\":".repeat(3000)
    };
    private static final String[] DTYPES = {
        "F32", "F16", "BF16", "F64", "I64", "I32", "I8", "U8", "BOOL", "F8_E4M3", "C64", "", "f32"
    };

    private Malformed() {}

    private static String value(SplittableRandom random) {
        return random.nextBoolean() ? NUMBERS[random.nextInt(NUMBERS.length)] : OTHERS[random.nextInt(OTHERS.length)];
    }

    /** JSON in which values are others, keys stand twice, or something is nested where it was not. */
    static byte[] json(byte[] whole, SplittableRandom random) {
        String text = new String(whole, StandardCharsets.UTF_8);
        for (int changes = random.nextInt(1, 4); changes > 0; changes--) {
            List<int[]> values = values(text);
            if (values.isEmpty()) return value(random).getBytes(StandardCharsets.UTF_8);
            int[] place = values.get(random.nextInt(values.size()));
            String old = text.substring(place[0], place[1]);
            String other = switch (random.nextInt(6)) {
                case 0 -> "[" + old + "]";
                case 1 -> "{\"a\": " + old + "}";
                case 2 ->
                    old + ", \"" + key(text, random) + "\": " + value(random); // in an object: perhaps a key twice
                default -> value(random);
            };
            text = text.substring(0, place[0]) + other + text.substring(place[1]);
        }
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** Where simple values stand: texts after a colon, numbers and words. */
    private static List<int[]> values(String text) {
        List<int[]> found = new ArrayList<>();
        var matcher = Pattern.compile("(?<=[:\\[,]\\s{0,9})(\"[^\"\\\\]*\"|-?\\d[\\d.eE+-]*|true|false|null)")
                .matcher(text);
        while (matcher.find()) found.add(new int[] {matcher.start(), matcher.end()});
        return found;
    }

    private static String key(String text, SplittableRandom random) {
        List<String> keys = Pattern.compile("\"([^\"\\\\]*)\"\\s*:")
                .matcher(text)
                .results()
                .map(match -> match.group(1))
                .toList();
        return keys.isEmpty() ? "a" : keys.get(random.nextInt(keys.size()));
    }

    /** Each line is JSON of its own. */
    static byte[] lines(byte[] whole, SplittableRandom random) {
        String[] lines = new String(whole, StandardCharsets.UTF_8).split("\n");
        int line = random.nextInt(lines.length);
        lines[line] = new String(json(lines[line].getBytes(StandardCharsets.UTF_8), random), StandardCharsets.UTF_8);
        return String.join("\n", lines).getBytes(StandardCharsets.UTF_8);
    }

    /** A header of entries whose dtypes, shapes and offsets lie, with the length that it has, over a few bytes. */
    static byte[] safetensors(byte[] whole, SplittableRandom random) {
        StringBuilder header = new StringBuilder("{");
        int entries = random.nextInt(5);
        int data = random.nextInt(64);
        for (int i = 0; i < entries; i++) {
            long begin = random.nextInt(3) == 0 ? random.nextInt(-2, 80) : 8L * i;
            long end = random.nextInt(3) == 0
                    ? new long[] {0, 1L << 53, Long.MAX_VALUE, -8, begin}[random.nextInt(5)]
                    : begin + 8;
            String shape = random.nextInt(3) == 0
                    ? value(random)
                    : random.nextBoolean()
                            ? "[2]"
                            : "[" + NUMBERS[random.nextInt(16)] + "," + NUMBERS[random.nextInt(16)] + "]";
            header.append(i == 0 ? "" : ",")
                    .append('"')
                    .append(random.nextInt(6) == 0 ? "w" : "w" + i)
                    .append("\":{\"dtype\":\"")
                    .append(DTYPES[random.nextInt(random.nextBoolean() ? 1 : DTYPES.length)])
                    .append("\",\"shape\":")
                    .append(shape)
                    .append(",\"data_offsets\":")
                    .append(random.nextInt(6) == 0 ? value(random) : "[" + begin + "," + end + "]")
                    .append(random.nextInt(10) == 0 ? ",\"shape\":[1]" : "")
                    .append('}');
        }
        if (random.nextInt(4) == 0)
            header.append(entries == 0 ? "" : ",")
                    .append("\"__metadata__\":")
                    .append(random.nextBoolean() ? "{\"format\":\"pt\"}" : value(random));
        byte[] text = header.append('}')
                .append(" ".repeat(random.nextInt(9)))
                .toString()
                .getBytes(StandardCharsets.UTF_8);
        long length = random.nextInt(12) == 0
                ? new long[] {0, -1, Long.MAX_VALUE, 1L << 53, text.length + 1L, text.length - 1L}[random.nextInt(6)]
                : text.length;
        return ByteBuffer.allocate(8 + text.length + data)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(length)
                .put(text)
                .array();
    }

    /** An archive, whole and with right checksums, in which one file is damaged. */
    static byte[] member(byte[] whole, SplittableRandom random) throws IOException {
        if (whole[0] != 'P') return damaged(whole, random); // torch's older files are no archives
        Map<String, byte[]> members = new LinkedHashMap<>();
        Path file = Files.write(Files.createTempFile("whole", ".zip"), whole);
        try (ZipFile archive = new ZipFile(file.toFile())) {
            for (ZipEntry entry : Collections.list(archive.entries()))
                members.put(entry.getName(), archive.getInputStream(entry).readAllBytes());
        } finally {
            Files.delete(file);
        }
        List<String> names = List.copyOf(members.keySet());
        String name = random.nextBoolean()
                ? names.stream()
                        .filter(each -> each.endsWith(".pkl"))
                        .findFirst()
                        .orElse(names.getFirst())
                : names.get(random.nextInt(names.size()));
        members.put(name, damaged(members.get(name), random));
        ByteArrayOutputStream archive = new ByteArrayOutputStream();
        try (ZipOutputStream out = new ZipOutputStream(archive)) {
            for (var each : members.entrySet()) {
                ZipEntry entry = new ZipEntry(each.getKey());
                CRC32 crc = new CRC32();
                crc.update(each.getValue());
                entry.setMethod(ZipEntry.STORED);
                entry.setSize(each.getValue().length);
                entry.setCrc(crc.getValue());
                out.putNextEntry(entry);
                out.write(each.getValue());
            }
        }
        return archive.toByteArray();
    }

    static byte[] gzip(byte[] whole, SplittableRandom random) throws IOException {
        byte[] inside;
        try (InputStream in = new GZIPInputStream(new ByteArrayInputStream(whole))) {
            inside = inside(in.readAllBytes(), random);
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (GZIPOutputStream out = new GZIPOutputStream(bytes)) {
            out.write(inside);
        }
        return bytes.toByteArray();
    }

    static byte[] zstd(byte[] whole, SplittableRandom random) throws IOException {
        try (InputStream in = new ZstdInputStream(new ByteArrayInputStream(whole))) {
            return Zstd.compress(inside(in.readAllBytes(), random));
        }
    }

    private static byte[] inside(byte[] text, SplittableRandom random) {
        return random.nextBoolean() ? lines(text, random) : damaged(text, random);
    }

    /**
     * In a file of Thrift's compact protocol: bytes that begin a field, and numbers of many bytes, where pages and the
     * footer begin.
     */
    static byte[] thrift(byte[] whole, SplittableRandom random) {
        byte[] bytes = whole.clone();
        int footer = ByteBuffer.wrap(bytes, bytes.length - 8, 4)
                .order(ByteOrder.LITTLE_ENDIAN)
                .getInt();
        int start = random.nextBoolean() ? 4 : bytes.length - 8 - footer;
        int length = Math.min(random.nextBoolean() ? 24 : footer, bytes.length - 8 - start);
        for (int changes = random.nextInt(1, 4); changes > 0; changes--) {
            int at = start + random.nextInt(length);
            if (random.nextBoolean())
                bytes[at] = new byte[] {0x15, 0x16, 0x18, 0x19, 0x1c, 0x2c, 0x00, (byte) 0xfc, 0x45}[random.nextInt(9)];
            else
                for (int i = at; i < Math.min(at + random.nextInt(1, 10), bytes.length - 8); i++)
                    bytes[i] = (byte) (random.nextInt(4) == 0 ? 0x7f : 0xff);
        }
        return bytes;
    }

    private static byte[] damaged(byte[] whole, SplittableRandom random) {
        if (whole.length == 0) return new byte[] {1};
        byte[] bytes = whole.clone();
        for (int changes = random.nextInt(1, 4); changes > 0; changes--) {
            int at = random.nextInt(bytes.length);
            switch (random.nextInt(4)) {
                case 0 -> bytes[at] = (byte) random.nextInt(256);
                case 1 ->
                    bytes[at] = new byte[] {
                                '.',
                                '(',
                                ')',
                                ']',
                                '}',
                                't',
                                'R',
                                'c',
                                'q',
                                'h',
                                'K',
                                'M',
                                'J',
                                (byte) 0x8a,
                                (byte) 0x80,
                                'X',
                                'Q',
                                'b'
                            }
                            [random.nextInt(18)];
                case 2 -> bytes = Arrays.copyOf(bytes, at + 1);
                default -> {
                    int from = random.nextInt(bytes.length);
                    System.arraycopy(
                            whole, from, bytes, at, Math.min(Math.min(16, whole.length - from), bytes.length - at));
                }
            }
        }
        return bytes;
    }
}
