"""Dtypes that PyTorch takes beside those that the rows of a family name.

Rows say what dtypes an operator is made for; this table adds the rest of what PyTorch
accepts, as letters of ``expand_dtypes`` and the rows' names.
"""

from __future__ import annotations

__all__ = ["WIDER"]

WIDER = {
    "h": """
        Tensor._indices Tensor._values Tensor.ccol_indices Tensor.coalesce
        Tensor.col_indices Tensor.crow_indices Tensor.indices Tensor.row_indices
        Tensor.sparse_mask Tensor.to_dense Tensor.to_sparse Tensor.to_sparse_bsc
        Tensor.to_sparse_bsr Tensor.to_sparse_csc Tensor.to_sparse_csr Tensor.values
        _addmm_activation _chunk_cat _native_batch_norm_legit _unsafe_masked_index
        _unsafe_masked_index_put_accumulate _weight_norm bartlett_window
        batch_norm_update_stats blackman_window chain_matmul convolution corrcoef
        cosine_similarity cov cumulative_trapezoid dist dsmm einsum embedding_renorm_
        fft.fftfreq fft.rfftfreq frobenius_norm gradient grid_sampler grid_sampler_2d
        grid_sampler_3d hamming_window hann_window hash_tensor histc hsmm hspmm isin
        kaiser_window linalg.diagonal linalg.matmul linalg.multi_dot linalg.vecdot
        logspace lu_unpack matrix_power max_pool1d_with_indices native_batch_norm
        native_group_norm native_layer_norm nextafter nn.functional.affine_grid
        nn.functional.batch_norm nn.functional.bilinear
        nn.functional.binary_cross_entropy nn.functional.conv1d nn.functional.conv2d
        nn.functional.conv3d nn.functional.conv_tbc nn.functional.conv_transpose1d
        nn.functional.conv_transpose2d nn.functional.conv_transpose3d
        nn.functional.cosine_embedding_loss nn.functional.cross_entropy
        nn.functional.embedding_bag nn.functional.fractional_max_pool2d
        nn.functional.fractional_max_pool3d nn.functional.gaussian_nll_loss
        nn.functional.group_norm nn.functional.hinge_embedding_loss
        nn.functional.instance_norm nn.functional.kl_div
        nn.functional.local_response_norm nn.functional.lp_pool1d
        nn.functional.lp_pool2d nn.functional.max_pool3d nn.functional.max_unpool1d
        nn.functional.max_unpool2d nn.functional.max_unpool3d
        nn.functional.multi_head_attention_forward
        nn.functional.multilabel_soft_margin_loss nn.functional.nll_loss
        nn.functional.normalize nn.functional.poisson_nll_loss
        nn.functional.scaled_dot_product_attention nn.functional.soft_margin_loss
        nn.functional.triplet_margin_loss
        nn.functional.triplet_margin_with_distance_loss nn.functional.upsample
        norm_except_dim ops.aten._upsample_nearest_exact1d
        ops.aten._upsample_nearest_exact2d ops.aten._upsample_nearest_exact3d
        ops.aten.max_pool2d_with_indices ops.aten.max_pool3d_with_indices
        ops.aten.upsample_bicubic2d ops.aten.upsample_bilinear2d
        ops.aten.upsample_linear1d ops.aten.upsample_nearest1d
        ops.aten.upsample_nearest2d ops.aten.upsample_nearest3d
        ops.aten.upsample_trilinear3d pairwise_distance range segment_reduce sparse.mm
        sparse.sum sparse_coo_tensor sparse_csr_tensor special.entr special.i0e
        special.i1 special.i1e special.ndtr special.xlog1py spmm tensordot trapezoid
        trapz vander
    """,
    "c": """
        _chunk_cat _unsafe_masked_index _unsafe_masked_index_put_accumulate dsmm
        embedding_renorm_ hsmm hspmm linalg.ldl_factor linalg.ldl_factor_ex
        linalg.ldl_solve linspace logaddexp logspace nn.functional.bilinear
        nn.functional.channel_shuffle nn.functional.conv1d nn.functional.conv2d
        nn.functional.conv3d nn.functional.conv_tbc nn.functional.conv_transpose1d
        nn.functional.conv_transpose2d nn.functional.conv_transpose3d
        nn.functional.embedding nn.functional.fold nn.functional.l1_loss
        nn.functional.native_channel_shuffle nn.functional.normalize
        nn.functional.rms_norm nn.functional.soft_margin_loss nn.functional.softsign
        nn.functional.triplet_margin_loss
        nn.functional.triplet_margin_with_distance_loss nn.functional.unfold
        norm_except_dim pairwise_distance smm sparse.mm sparse.sum spmm sspaddmm stft
    """,
    "i": """
        Tensor._indices Tensor._values Tensor.ccol_indices Tensor.coalesce
        Tensor.col_indices Tensor.crow_indices Tensor.indices Tensor.row_indices
        Tensor.sparse_mask Tensor.to_dense Tensor.to_sparse Tensor.to_sparse_bsc
        Tensor.to_sparse_bsr Tensor.to_sparse_csc Tensor.to_sparse_csr Tensor.values
        _chunk_cat _unsafe_masked_index _unsafe_masked_index_put_accumulate chain_matmul
        corrcoef cov cumulative_trapezoid dsmm einsum fft.fft2 fft.fftn fft.hfft2
        fft.hfftn fft.ifft2 fft.ifftn fft.ihfft2 fft.ihfftn fft.irfft2 fft.irfftn
        fft.rfft2 fft.rfftn hsmm hspmm ldexp linalg.diagonal linalg.matmul
        linalg.multi_dot linalg.vander logit logspace lu_unpack matrix_power
        max_pool1d_with_indices nn.functional.bilinear nn.functional.channel_shuffle
        nn.functional.conv2d nn.functional.conv3d nn.functional.conv_tbc
        nn.functional.cosine_embedding_loss nn.functional.embedding
        nn.functional.lp_pool1d nn.functional.lp_pool2d nn.functional.max_pool2d
        nn.functional.max_pool3d nn.functional.native_channel_shuffle nn.functional.pad
        nn.functional.poisson_nll_loss nn.functional.softsign nn.functional.tanhshrink
        nn.functional.triplet_margin_loss
        nn.functional.triplet_margin_with_distance_loss ops.aten.diagonal_backward
        ops.aten.max_pool2d_with_indices ops.aten.max_pool3d_with_indices
        ops.aten.select_backward ops.aten.slice_backward pairwise_distance real smm
        sparse.mm sparse.sum sparse_coo_tensor sparse_csr_tensor
        special.chebyshev_polynomial_t special.chebyshev_polynomial_u
        special.chebyshev_polynomial_v special.chebyshev_polynomial_w
        special.hermite_polynomial_h special.hermite_polynomial_he
        special.laguerre_polynomial_l special.legendre_polynomial_p
        special.shifted_chebyshev_polynomial_t special.shifted_chebyshev_polynomial_u
        special.shifted_chebyshev_polynomial_v special.shifted_chebyshev_polynomial_w
        spmm sspaddmm tensordot trapezoid trapz
    """,
    "b": """
        Tensor._indices Tensor._values Tensor.ccol_indices Tensor.coalesce
        Tensor.col_indices Tensor.crow_indices Tensor.indices Tensor.row_indices
        Tensor.sparse_mask Tensor.to_dense Tensor.to_sparse Tensor.to_sparse_bsc
        Tensor.to_sparse_bsr Tensor.to_sparse_csc Tensor.to_sparse_csr Tensor.values
        _chunk_cat _unsafe_masked_index _unsafe_masked_index_put_accumulate addr argsort
        clamp_max clamp_min conj_physical fft.fft fft.fft2 fft.fftn fft.hfft fft.hfft2
        fft.hfftn fft.ifft fft.ifft2 fft.ifftn fft.ihfft fft.ihfft2 fft.ihfftn fft.irfft
        fft.irfft2 fft.irfftn fft.rfft fft.rfft2 fft.rfftn float_power hash_tensor ldexp
        linalg.diagonal logit logsumexp lu_unpack nn.functional.channel_shuffle
        nn.functional.cosine_embedding_loss nn.functional.embedding nn.functional.fold
        nn.functional.lp_pool1d nn.functional.lp_pool2d
        nn.functional.native_channel_shuffle nn.functional.unfold
        ops.aten.diagonal_backward ops.aten.select_backward ops.aten.slice_backward
        polygamma real sparse.sum sparse_coo_tensor sparse_csr_tensor
        special.chebyshev_polynomial_t special.chebyshev_polynomial_u
        special.chebyshev_polynomial_v special.chebyshev_polynomial_w
        special.hermite_polynomial_h special.hermite_polynomial_he
        special.laguerre_polynomial_l special.legendre_polynomial_p
        special.shifted_chebyshev_polynomial_t special.shifted_chebyshev_polynomial_u
        special.shifted_chebyshev_polynomial_v special.shifted_chebyshev_polynomial_w
        vander
    """,
}
