row	29
item	calls	ms	share_pct	gflop_s	gb_s	floor_ms
aopt_k_tapgemm<true>	39	37.647	50.0	-	-	-
aopt_k_wino_time_input<6>	7	9.097	12.1	-	-	-
aopt_k_wino_input<true, 2, 6>	5	4.373	5.8	-	-	-
aopt_k_wino_output<false, 6>	4	3.484	4.6	-	-	-
aopt_k_wino_time_output<false, 6>	4	3.320	4.4	-	-	-
aopt_k_tapgemm<false>	6	3.075	4.1	-	-	-
aopt_k_wino_time_output<true, 6>	3	2.660	3.5	-	-	-
aopt_k_wino_time_input<4>	6	2.016	2.7	-	-	-
aopt_k_upsample4_output<2>	1	1.809	2.4	-	-	-
aopt_k_wino_output<true, 6>	1	1.277	1.7	-	-	-
aopt_k_upsample4_input	3	0.892	1.2	-	-	-
aopt_k_upsample4_output<1>	1	0.787	1.0	-	-	-
aopt_k_wino_time_output<true, 4>	3	0.783	1.0	-	-	-
aopt_k_wino_time_output<false, 4>	3	0.606	0.8	-	-	-
copy	63	0.496	0.7	-	-	-
aopt_k_wino_input<true, 2, 4>	10	0.277	0.4	-	-	-
aopt_k_wino_output<false, 4>	11	0.256	0.3	-	-	-
aopt_k_head	1	0.225	0.3	-	-	-
aopt_k_upsample_output<1>	1	0.132	0.2	-	-	-
nvjet_sm90_hss_112x64_64x9_4x2_h_bz_TNN	9	0.071	0.1	-	-	-
nvjet_sm90_hsh_64x112_64x9_2x1_v_bz_NNT	9	0.062	0.1	-	-	-
aopt_k_softmax_half	9	0.056	0.1	-	-	-
aopt_k_upsample_input	2	0.050	0.1	-	-	-
memset	3	0.021	0.0	-	-	-
aopt_k_point_in	1	0.019	0.0	-	-	-
aopt_k_norm<false>	1	0.016	0.0	-	-	-
aopt_k_add_norm	1	0.014	0.0	-	-	-
aopt_k_wino_input<false, 1, 4>	1	0.010	0.0	-	-	-
(gaps)	0	1.481	2.0	-	-	-
# kernels 73.531 ms, together 73.531 ms; with gaps of 1.481 ms 99.69 % of the judge's 75.244 ms
# whole decode 75.244 ms, 1.378e+05 GFLOP, 1830871.6 GFLOP/s; this machine: 891081.6 GFLOP/s, 4152.6 GB/s; roofline 154.601 ms, 0.5x away
