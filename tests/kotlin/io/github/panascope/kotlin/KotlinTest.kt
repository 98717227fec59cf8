package io.github.panascope.kotlin

import io.github.panascope.demo.DemoBundle
import io.github.panascope.lens.HookedTransformer
import io.github.panascope.sae.Sae
import io.github.panascope.torch.DType
import io.github.panascope.torch.Shape
import io.github.panascope.torch.Tensor
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Tag
import org.junit.jupiter.api.Test

/** The operators, the destructuring and the scope, beside plain arithmetic. */
@Tag("kotlin")
class KotlinTest {
    private fun floats(vararg values: Float) = Tensor.of(values, Shape.of(values.size.toLong()))

    private fun assertElements(expected: List<Double>, found: Tensor) =
        assertArrayEquals(expected.toDoubleArray(), found.toDoubles(), 1e-6)

    @Test
    fun operatorsCompute(): Unit = tensorScope {
        val x = floats(1f, 2f, 4f)
        val y = floats(3f, 5f, 8f)
        assertElements(listOf(4.0, 7.0, 12.0), x + y)
        assertElements(listOf(2.0, 3.0, 5.0), x + 1)
        assertElements(listOf(2.0, 3.0, 5.0), 1 + x)
        assertElements(listOf(-2.0, -3.0, -4.0), x - y)
        assertElements(listOf(0.5, 1.5, 3.5), x - 0.5)
        assertElements(listOf(9.0, 8.0, 6.0), 10 - x)
        assertElements(listOf(3.0, 10.0, 32.0), x * y)
        assertElements(listOf(2.0, 4.0, 8.0), x * 2)
        assertElements(listOf(2.0, 4.0, 8.0), 2 * x)
        assertElements(listOf(3.0, 2.5, 2.0), y / x)
        assertElements(listOf(0.5, 1.0, 2.0), x / 2)
        assertElements(listOf(-1.0, -2.0, -4.0), -x)
        assertElements(listOf(3.5, 7.0, 13.0), 2 * x + y - x / 2 - 1)
        val whole = Tensor.arange(6).reshape(2, 3)
        assertEquals(DType.INT64, (whole + 1).dtype())
        for (i in 0..1) for (j in 0..2) assertEquals((3 * i + j).toDouble(), whole[i, j])
        assertEquals(5.0, whole[1, -1])
        assertThrows(IllegalArgumentException::class.java) { whole[0] }
    }

    @Test
    fun resultsAreDestructured(): Unit = tensorScope {
        val (values, indices) = floats(3f, 9f, 5f).topk(2)
        assertElements(listOf(9.0, 5.0), values)
        assertElements(listOf(1.0, 2.0), indices)
        val (least, place) = floats(3f, 9f, 5f).min(0, false)
        assertEquals(3.0, least.item())
        assertEquals(0, place.itemLong())
        val demo = DemoBundle.find()
        HookedTransformer.fromPretrained(demo.model()).use { model ->
            Sae.fromPretrained(demo.sae()).use { sae ->
                val hook = sae.config().hookName()
                val tokens = model.toTokens("Mary gave the bag to John")
                val (logits, cache) = model.runWithCache(tokens) { it == hook }
                assertEquals(tokens.size(1), logits.size(1))
                val (features, reconstruction, active) = sae.encodeAndReconstruct(cache[hook])
                assertEquals(reconstruction.shape(), cache[hook].shape())
                assertTrue(features.gt(0).sum(-1, false).sameElements(active))
            }
        }
    }

    @Test
    fun aScopeFreesWhatDoesNotLeaveIt(): Unit = tensorScope {
        lateinit var lost: Tensor
        val kept = tensorScope {
            lost = floats(1f, 2f) * 3
            (lost + 1).promote()
        }
        assertElements(listOf(4.0, 7.0), kept)
        assertThrows(IllegalStateException::class.java) { lost.add(1) }
        assertEquals(2, tensorScope { scope -> if (scope.isOpen) 2 else 0 })
    }
}
