/* cublas_v2.h - the three products that autoopt asks of cuBLAS, in plain loops; see cuda_runtime.h beside this file. */
#ifndef EMULATE_CUBLAS_H
#define EMULATE_CUBLAS_H
#include "cuda_runtime.h"

typedef struct cublasContext *cublasHandle_t;
struct cublasContext { int unused; };
enum cublasStatus_t { CUBLAS_STATUS_SUCCESS, CUBLAS_STATUS_ALLOC_FAILED = 3, CUBLAS_STATUS_INVALID_VALUE = 7 };
enum cublasOperation_t { CUBLAS_OP_N, CUBLAS_OP_T };
enum cublasMath_t { CUBLAS_DEFAULT_MATH, CUBLAS_PEDANTIC_MATH = 2, CUBLAS_TF32_TENSOR_OP_MATH };

static inline const char *cublasGetStatusString(cublasStatus_t s) { return s == CUBLAS_STATUS_SUCCESS ? "ok" : "invalid value"; }
static inline cublasStatus_t emulate_blas(void) { return emulate_call() == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE; }
static inline cublasStatus_t cublasCreate(cublasHandle_t *h) { *h = (cublasHandle_t)calloc(1, sizeof **h); return emulate_blas(); }
static inline cublasStatus_t cublasDestroy(cublasHandle_t h) { free(h); return CUBLAS_STATUS_SUCCESS; }
static inline cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t) { return emulate_blas(); }
static inline cublasStatus_t cublasSetWorkspace(cublasHandle_t, void *, size_t) { return emulate_blas(); }
static inline cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return emulate_blas(); }

/* C[n][m] = alpha * sum_k A * B + beta * C, column-major as in BLAS. */
static inline cublasStatus_t cublasSgemm(cublasHandle_t, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const float *alpha,
                                         const float *A, int lda, const float *B, int ldb, const float *beta, float *C, int ldc)
{
    if (m < 0 || n < 0 || k < 0 || lda < (ta == CUBLAS_OP_N ? m : k) || ldb < (tb == CUBLAS_OP_N ? k : n) || ldc < m) return CUBLAS_STATUS_INVALID_VALUE;
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++) {
            float sum = 0.0f;
            for (int p = 0; p < k; p++)
                sum += A[ta == CUBLAS_OP_N ? (int64_t)p * lda + i : (int64_t)i * lda + p] * B[tb == CUBLAS_OP_N ? (int64_t)j * ldb + p : (int64_t)p * ldb + j];
            float *c = C + (int64_t)j * ldc + i;
            *c = *beta == 0.0f ? *alpha * sum : *alpha * sum + *beta * *c;
        }
    return emulate_blas();
}
static inline cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const float *alpha,
                                                       const float *A, int lda, long long sa, const float *B, int ldb, long long sb, const float *beta,
                                                       float *C, int ldc, long long sc, int batch)
{
    cublasStatus_t s = CUBLAS_STATUS_SUCCESS;
    for (int b = 0; b < batch && s == CUBLAS_STATUS_SUCCESS; b++) s = cublasSgemm(h, ta, tb, m, n, k, alpha, A + b * sa, lda, B + b * sb, ldb, beta, C + b * sc, ldc);
    return s;
}
#endif
