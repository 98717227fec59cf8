package io.github.panascope.spark;

import static io.github.panascope.spark.CollectedFixture.CONTEXT;
import static io.github.panascope.spark.CollectedFixture.UNIT_ROWS;
import static io.github.panascope.spark.CollectedFixture.assertNothingLeft;
import static io.github.panascope.spark.CollectedFixture.assertRefused;
import static io.github.panascope.spark.CollectedFixture.assertThoseOfOneMachine;
import static io.github.panascope.spark.CollectedFixture.collect;
import static io.github.panascope.spark.CollectedFixture.tokens;
import static io.github.panascope.spark.CollectedFixture.units;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** Files that are cut, changed or deleted afterwards: one sentence says what to do, and doing that works. */
@Tag("spark")
@ExtendWith(Cluster.class)
class FeatureJobDamageTest {
    private static final long UNIT_TOKENS = (long) UNIT_ROWS * CONTEXT;
    private static final String MARKER = "units/000000000032-000000000064.json";

    @TempDir
    private Path folder;

    @TempDir
    private Path scratch;

    private SparkSession spark;

    @BeforeEach
    void collected() {
        spark = Cluster.session();
        collect(spark, folder.toString());
    }

    private Path file(String start) throws IOException {
        UnitFiles unit = units(folder.toString()).get(1);
        try (Stream<Path> files = Files.list(folder.resolve("units/" + unit.unit() + "/" + unit.attempt()))) {
            return files.filter(file -> file.getFileName().toString().startsWith(start))
                    .findFirst()
                    .orElseThrow();
        }
    }

    private void assertCollectsOneUnitAgain() throws IOException {
        assertEquals(UNIT_TOKENS, tokens(collect(spark, folder.toString())));
        assertThoseOfOneMachine(folder.toString(), scratch);
        assertNothingLeft(folder);
    }

    private static void change(Path file) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length / 2] ^= 1;
        Files.write(file, bytes);
    }

    private static void cut(Path file) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        Files.write(file, Arrays.copyOf(bytes, bytes.length / 2));
    }

    @Test
    void aShardThatIsCutOrMissingIsCollectedAgainAfterItsMarkerIsDeleted() throws IOException {
        for (String start : List.of("rows", "sums", "manifest")) {
            if (start.equals("sums")) Files.delete(file(start));
            else cut(file(start));
            assertRefused(
                    () -> collect(spark, folder.toString()),
                    start,
                    start.equals("sums") ? "is missing" : "is damaged: it has ",
                    "delete file:" + folder + "/" + MARKER + " and submit the job again");
            Files.delete(folder.resolve(MARKER));
            assertCollectsOneUnitAgain();
        }
    }

    @Test
    void aShardThatWasChangedIsRefusedWhereItIsReadAndCollectedAgainAfterItsFolderIsDeleted() throws IOException {
        Path rows = file("rows");
        change(rows);
        assertEquals(0, tokens(collect(spark, folder.toString())));
        assertRefused(
                () -> assertThoseOfOneMachine(folder.toString(), scratch),
                "rows-",
                "is damaged: it has other bytes than were written.",
                "delete the folder that it lies in and submit the job again");
        UnitTask.delete(rows.getParent());
        assertCollectsOneUnitAgain();
    }

    @Test
    void aMarkerThatWasCutOrChangedIsRefused() throws IOException {
        Path marker = folder.resolve(MARKER);
        String whole = Files.readString(marker);
        for (String text : List.of(
                whole.substring(0, whole.length() / 2), whole.replaceFirst("\"rows-0", "\"rows-1"), "", "[1]")) {
            Files.writeString(marker, text);
            assertRefused(
                    () -> collect(spark, folder.toString()), MARKER + " is damaged: delete it and submit the job");
        }
        Files.delete(marker);
        assertCollectsOneUnitAgain();
    }

    @Test
    void aPlanThatWasChangedOrDeletedIsRefused() throws IOException {
        Path plan = folder.resolve("job.json");
        String whole = Files.readString(plan);
        for (String text :
                List.of(whole.substring(0, whole.length() / 2), whole.replace("unit\" : 32", "unit\" : 64"), "{}")) {
            Files.writeString(plan, text);
            assertRefused(() -> collect(spark, folder.toString()), "job.json is ");
        }
        Files.delete(plan);
        assertRefused(
                () -> collect(spark, folder.toString()), "holds rows, but no job.json, which says what they are of");
        Files.writeString(plan, whole);
        assertEquals(0, tokens(collect(spark, folder.toString())));
        assertThoseOfOneMachine(folder.toString(), scratch);
    }
}
