package io.github.panascope.spark;

import io.github.panascope.InputException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * Functions of Spark SQL that say which features are active in a text, for enriching or filtering data by feature.
 *
 * <ul>
 * <li>{@code active_features(text)}: every feature at every token where its activation is not zero, by position and
 * feature
 * <li>{@code strongest_features(text, k)}: the k features with the highest activations, highest first, each once, at
 * the token where it is strongest
 * </ul>
 *
 * Both return an {@code array<struct<position: int, token: string, feature: int, activation: float>>}; null for a null
 * text. The position counts the tokens of the text from 0. Long texts are cut into rows, as {@link ActivationTable}
 * cuts them, and the activations are those of its default: of the SAE as published, without positions of special
 * tokens.
 *
 * <pre>{@code
 * static Dataset<Row> aboutPlaces(SparkSession spark) {
 *     ActiveFeatures.register(spark, ModelAndSae.DEMO);
 *     return spark.sql("SELECT text FROM stories WHERE exists(active_features(text), f -> f.feature = 8)");
 * }
 * }</pre>
 */
public final class ActiveFeatures {
    private static final ArrayType TYPE = DataTypes.createArrayType(
            new StructType()
                    .add("position", DataTypes.IntegerType, false)
                    .add("token", DataTypes.StringType, false)
                    .add("feature", DataTypes.IntegerType, false)
                    .add("activation", DataTypes.FloatType, false),
            false);
    /** The last text of a thread: Spark may evaluate a function twice for a row, to filter and to select. */
    private static final ThreadLocal<Last> LAST = new ThreadLocal<>();

    private record Last(ModelAndSae names, String text, List<ActiveFeature> active) {}

    private ActiveFeatures() {}

    /**
     * Registers {@code active_features} and {@code strongest_features} in a session, in place of functions of these
     * names.
     *
     * @param spark the session
     * @param names the model and the SAE
     */
    public static void register(SparkSession spark, ModelAndSae names) {
        UDF1<String, List<Row>> active = text -> text == null ? null : rows(of(names, text));
        UDF2<String, Integer, List<Row>> strongest =
                (text, k) -> text == null || k == null ? null : rows(strongest(of(names, text), k));
        spark.udf().register("active_features", active, TYPE);
        spark.udf().register("strongest_features", strongest, TYPE);
    }

    private static List<Row> rows(List<ActiveFeature> active) {
        return active.stream()
                .map(each -> RowFactory.create(each.position(), each.token(), each.feature(), each.activation()))
                .toList();
    }

    /** Returns the active features of a text, with positions in the text. */
    private static List<ActiveFeature> of(ModelAndSae names, String text) {
        Last last = LAST.get();
        if (last != null && last.text.equals(text) && last.names.equals(names)) return last.active;
        Executor.Loaded loaded = Executor.load(names);
        List<ActiveFeature> active = new ArrayList<>();
        int first = -DocumentRows.bos(loaded);
        for (int[] row : DocumentRows.of(loaded, text, 0)) {
            int before = first;
            ActiveFeature.of(loaded, loaded.sae(), row, null, false).stream()
                    .map(each -> new ActiveFeature(
                            before + each.position(), each.token(), each.feature(), each.activation()))
                    .forEach(active::add);
            first += row.length - DocumentRows.bos(loaded);
        }
        LAST.set(new Last(names, text, active));
        return active;
    }

    private static List<ActiveFeature> strongest(List<ActiveFeature> active, int k) {
        if (k < 1) throw new InputException("strongest_features needs a k of at least 1, not " + k + ".");
        Map<Integer, ActiveFeature> best = new HashMap<>();
        for (ActiveFeature each : active)
            best.merge(each.feature(), each, (a, b) -> b.activation() > a.activation() ? b : a);
        return best.values().stream()
                .sorted(Comparator.comparing(ActiveFeature::activation)
                        .reversed()
                        .thenComparing(ActiveFeature::feature))
                .limit(k)
                .toList();
    }
}
