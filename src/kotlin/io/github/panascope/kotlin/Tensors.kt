@file:JvmName("Tensors")

package io.github.panascope.kotlin

import io.github.panascope.torch.Tensor
import io.github.panascope.torch.TensorScope

/*
 * Kotlin's operators on tensors. `a / b`, `a / 2`, and `x[0, 3]` with literals need nothing here: Kotlin takes
 * Tensor's own methods `div` and `get` for them.
 */

/** Computes `this + other` element by element, broadcast; a new tensor in the innermost scope. */
public operator fun Tensor.plus(other: Tensor): Tensor = add(other)

/** Adds a number to every element; a new tensor in the innermost scope. */
public operator fun Tensor.plus(number: Number): Tensor = add(number)

/** Adds a number to every element; a new tensor in the innermost scope. */
public operator fun Number.plus(tensor: Tensor): Tensor = tensor.add(this)

/** Computes `this - other` element by element, broadcast; a new tensor in the innermost scope. */
public operator fun Tensor.minus(other: Tensor): Tensor = sub(other)

/** Subtracts a number from every element; a new tensor in the innermost scope. */
public operator fun Tensor.minus(number: Number): Tensor = sub(number)

/** Subtracts every element from a number; a new tensor in the innermost scope. */
public operator fun Number.minus(tensor: Tensor): Tensor = tensor.mul(-1).add(this)

/** Computes `this * other` element by element, broadcast; a new tensor in the innermost scope. */
public operator fun Tensor.times(other: Tensor): Tensor = mul(other)

/** Multiplies every element by a number; a new tensor in the innermost scope. */
public operator fun Tensor.times(factor: Number): Tensor = mul(factor)

/** Multiplies every element by a number; a new tensor in the innermost scope. */
public operator fun Number.times(tensor: Tensor): Tensor = tensor.mul(this)

/** Computes `-x` for every element; a new tensor in the innermost scope. */
public operator fun Tensor.unaryMinus(): Tensor = neg()

/**
 * Returns one element, as [Tensor.get] does: `x[i, j]` with variables of type Int.
 *
 * @param indices an index for each dimension; a negative one counts from the end
 */
public operator fun Tensor.get(vararg indices: Int): Double = get(*LongArray(indices.size) { indices[it].toLong() })

/**
 * Opens a [TensorScope], runs a block in it and closes it, which frees the tensors that the block made. A tensor that
 * the block returns has to leave the scope with [Tensor.promote].
 *
 * @param block the block; it receives the scope
 * @return what the block returns
 */
public inline fun <R> tensorScope(block: (TensorScope) -> R): R = TensorScope.open().use(block)
