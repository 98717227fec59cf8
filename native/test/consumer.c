/* A foreign native library, for the tests of exchange: it implements DLPack and the Arrow C data interface from their
 * specifications, without Panascope. */
#include <stdint.h>
#include <stdlib.h>

#define EXPORTED __attribute__((visibility("default")))

typedef struct {
  int32_t device_type, device_id;
} DLDevice;
typedef struct {
  uint8_t code, bits;
  uint16_t lanes;
} DLDataType;
typedef struct {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
} DLTensor;
typedef struct DLManagedTensor {
  DLTensor dl_tensor;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensor *);
} DLManagedTensor;

struct ArrowSchema {
  const char *format, *name, *metadata;
  int64_t flags, n_children;
  struct ArrowSchema **children, *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};
struct ArrowArray {
  int64_t length, null_count, offset, n_buffers, n_children;
  const void **buffers;
  struct ArrowArray **children, *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

static int64_t released = 0; /* tensors and columns made here that their receivers have released */
EXPORTED int64_t consumer_released(void) { return released; }

/* Returns the sum of a float32 matrix, which may have strides; does not take it over. */
EXPORTED double consumer_sum(const DLManagedTensor *managed) {
  const DLTensor *t = &managed->dl_tensor;
  if (t->device.device_type != 1 || t->dtype.code != 2 || t->dtype.bits != 32 || t->ndim != 2) return -1;
  const float *data = (const float *)((const char *)t->data + t->byte_offset);
  int64_t rows = t->strides ? t->strides[0] : t->shape[1], columns = t->strides ? t->strides[1] : 1;
  double sum = 0;
  for (int64_t i = 0; i < t->shape[0]; i++)
    for (int64_t j = 0; j < t->shape[1]; j++) sum += data[i * rows + j * columns];
  return sum;
}

/* Returns the sum of a float32 matrix and takes it over; writes 7 to the first element before it releases it. */
EXPORTED double consumer_take(DLManagedTensor *managed) {
  double sum = consumer_sum(managed);
  *(float *)managed->dl_tensor.data = 7;
  managed->deleter(managed);
  return sum;
}

static void free_managed(DLManagedTensor *managed) {
  released++;
  free(managed->dl_tensor.data);
  free(managed->dl_tensor.shape);
  free(managed);
}

/* Makes a matrix 0, 1, 2 ... as float32 [rows, columns], in this library's own memory. */
EXPORTED DLManagedTensor *consumer_make(int64_t rows, int64_t columns) {
  DLManagedTensor *managed = calloc(1, sizeof *managed);
  float *data = malloc(sizeof(float) * (size_t)(rows * columns));
  for (int64_t i = 0; i < rows * columns; i++) data[i] = (float)i;
  managed->dl_tensor =
      (DLTensor){.data = data, .device = {1, 0}, .ndim = 2, .dtype = {2, 32, 1}, .shape = malloc(2 * sizeof(int64_t))};
  managed->dl_tensor.shape[0] = rows;
  managed->dl_tensor.shape[1] = columns;
  managed->deleter = free_managed;
  return managed;
}

/* Returns the sum of a column of float64, or of lists of float64, and releases it; -1 for any other column. */
EXPORTED double consumer_sum_column(struct ArrowSchema *schema, struct ArrowArray *array) {
  const struct ArrowArray *values = array;
  const char *format = schema->format;
  if (format[0] == '+' && schema->n_children == 1) {
    values = array->children[0];
    format = schema->children[0]->format;
  }
  double sum = -1;
  if (format[0] == 'g' && format[1] == 0 && values->buffers[0] == NULL) {
    sum = 0;
    for (int64_t i = 0; i < values->length; i++) sum += ((const double *)values->buffers[1])[values->offset + i];
  }
  array->release(array);
  schema->release(schema);
  return sum;
}

static void release_schema(struct ArrowSchema *schema) { schema->release = NULL; }
static void release_array(struct ArrowArray *array) {
  released++;
  free((void *)array->buffers[1]);
  free(array->buffers);
  array->release = NULL;
}

/* Makes a column 0, 1, 2 ... as int32 that begins at an offset; with a missing value if `missing` is not 0. */
EXPORTED void consumer_make_column(struct ArrowSchema *schema, struct ArrowArray *array, int64_t length, int64_t offset,
                                   int32_t missing) {
  int32_t *data = malloc(sizeof(int32_t) * (size_t)(length + offset));
  for (int64_t i = 0; i < length + offset; i++) data[i] = (int32_t)i;
  *schema = (struct ArrowSchema){.format = "i", .name = "n", .release = release_schema};
  *array = (struct ArrowArray){.length = length,
                               .null_count = missing,
                               .offset = offset,
                               .n_buffers = 2,
                               .buffers = calloc(2, sizeof(void *)),
                               .release = release_array};
  array->buffers[1] = data;
}
